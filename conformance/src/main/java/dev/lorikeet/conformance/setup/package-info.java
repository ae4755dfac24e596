/** What a run is given: how much it tries, and how tensors get to a device. */
@NullMarked
package dev.lorikeet.conformance.setup;

import org.jspecify.annotations.NullMarked;
