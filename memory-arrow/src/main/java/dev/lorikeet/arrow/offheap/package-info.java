/** Memory for Arrow that {@code java.lang.foreign} manages; not exported. */
@NullMarked
package dev.lorikeet.arrow.offheap;

import org.jspecify.annotations.NullMarked;
