@NullMarked
package dev.lorikeet.jlama;

import org.jspecify.annotations.NullMarked;
