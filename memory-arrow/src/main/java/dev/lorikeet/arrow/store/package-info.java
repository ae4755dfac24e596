/** The adapter store: who is registered, resident, pinned and idle, and how weights get in. */
@NullMarked
package dev.lorikeet.arrow.store;

import org.jspecify.annotations.NullMarked;
