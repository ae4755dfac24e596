/** Tests. */
@NullMarked
package dev.lorikeet.host.kv;

import org.jspecify.annotations.NullMarked;
