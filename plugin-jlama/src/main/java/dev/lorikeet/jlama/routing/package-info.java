/** Routers: trained gates, and some that need no training. */
@NullMarked
package dev.lorikeet.jlama.routing;

import org.jspecify.annotations.NullMarked;
