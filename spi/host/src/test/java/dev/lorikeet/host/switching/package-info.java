/** Tests. */
@NullMarked
package dev.lorikeet.host.switching;

import org.jspecify.annotations.NullMarked;
