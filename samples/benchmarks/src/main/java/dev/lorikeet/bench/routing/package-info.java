/** {@code bench routing}: what routing and switching cost. */
@org.jspecify.annotations.NullMarked
package dev.lorikeet.bench.routing;
