@NullMarked
package dev.lorikeet.bench;

import org.jspecify.annotations.NullMarked;
