/**
 * Groups of threads or processes that work together. A {@link dev.lorikeet.cluster.Group} is what
 * each member has: links to all others, one inbox, and the promise to be told when one is lost.
 */
@NullMarked
package dev.lorikeet.cluster;

import org.jspecify.annotations.NullMarked;
