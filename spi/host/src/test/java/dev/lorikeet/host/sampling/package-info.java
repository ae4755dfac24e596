/** Tests. */
@NullMarked
package dev.lorikeet.host.sampling;

import org.jspecify.annotations.NullMarked;
