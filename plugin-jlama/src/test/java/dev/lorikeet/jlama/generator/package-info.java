@NullMarked
package dev.lorikeet.jlama.generator;

import org.jspecify.annotations.NullMarked;
