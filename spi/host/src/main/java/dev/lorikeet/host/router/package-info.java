/** Routers: trained gates, and some that need no training. */
@NullMarked
package dev.lorikeet.host.router;

import org.jspecify.annotations.NullMarked;
