@NullMarked
package dev.lorikeet.bench.train;

import org.jspecify.annotations.NullMarked;
