/** Generated tokens on their way from the decoding thread to whoever reads them. */
@NullMarked
package dev.lorikeet.host.stream;

import org.jspecify.annotations.NullMarked;
