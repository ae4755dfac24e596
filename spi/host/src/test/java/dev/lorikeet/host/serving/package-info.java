/** Tests. */
@NullMarked
package dev.lorikeet.host.serving;

import org.jspecify.annotations.NullMarked;
