/** When a mixture of adapters is folded into the weights rather than added as deltas. */
@NullMarked
package dev.lorikeet.host.switching;

import org.jspecify.annotations.NullMarked;
