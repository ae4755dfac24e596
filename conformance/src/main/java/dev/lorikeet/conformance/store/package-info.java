/** The rules of adapter stores, and the store that the suite lends. Not for users of the suite. */
@NullMarked
package dev.lorikeet.conformance.store;

import org.jspecify.annotations.NullMarked;
