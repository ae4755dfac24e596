/** Routers: which adapters serve a request, a token or a layer, and with which weights. */
@NullMarked
package dev.lorikeet.routing;

import org.jspecify.annotations.NullMarked;
