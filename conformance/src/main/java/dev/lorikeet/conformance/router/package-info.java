/** The rules of routers. Not for users of the suite. */
@NullMarked
package dev.lorikeet.conformance.router;

import org.jspecify.annotations.NullMarked;
