/** Contenders in processes of their own. */
@NullMarked
package dev.lorikeet.bench.process;

import org.jspecify.annotations.NullMarked;
