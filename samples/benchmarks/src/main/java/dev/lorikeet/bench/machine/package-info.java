/** What the machine is and what it allows. */
@NullMarked
package dev.lorikeet.bench.machine;

import org.jspecify.annotations.NullMarked;
