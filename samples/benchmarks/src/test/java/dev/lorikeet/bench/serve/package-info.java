@NullMarked
package dev.lorikeet.bench.serve;

import org.jspecify.annotations.NullMarked;
