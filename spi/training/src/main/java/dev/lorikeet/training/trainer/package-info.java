/** Learns many adapters at once over one frozen base. */
@NullMarked
package dev.lorikeet.training.trainer;

import org.jspecify.annotations.NullMarked;
