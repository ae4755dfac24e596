/** Tests. */
@NullMarked
package dev.lorikeet.host.stream;

import org.jspecify.annotations.NullMarked;
