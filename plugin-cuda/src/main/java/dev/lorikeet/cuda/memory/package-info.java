/**
 * Where bytes live on the device: pages and who has them, adapters in pages and how they get there,
 * buffers that grow, copies of host tensors. Stands on {@code driver}; knows no kernel.
 */
@NullMarked
package dev.lorikeet.cuda.memory;

import org.jspecify.annotations.NullMarked;
