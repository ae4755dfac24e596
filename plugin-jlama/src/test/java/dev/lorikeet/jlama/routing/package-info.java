@NullMarked
package dev.lorikeet.jlama.routing;

import org.jspecify.annotations.NullMarked;
