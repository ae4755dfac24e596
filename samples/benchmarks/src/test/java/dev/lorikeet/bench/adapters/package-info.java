@NullMarked
package dev.lorikeet.bench.adapters;

import org.jspecify.annotations.NullMarked;
