@NullMarked
package dev.lorikeet.gates;

import org.jspecify.annotations.NullMarked;
