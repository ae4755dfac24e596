/** Plugins and observers of third parties that throw at random moments. */
@NullMarked
package dev.lorikeet.jlama.faults;

import org.jspecify.annotations.NullMarked;
