@NullMarked
package dev.lorikeet.bench.model;

import org.jspecify.annotations.NullMarked;
