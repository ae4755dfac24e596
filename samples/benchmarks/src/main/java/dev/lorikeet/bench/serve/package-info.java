/** Lorikeet side by side with other libraries. */
@NullMarked
package dev.lorikeet.bench.serve;

import org.jspecify.annotations.NullMarked;
