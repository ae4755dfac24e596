package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.LoraWeights;
import java.util.List;
import java.util.Optional;

/**
 * The weights of an adapter in memory.
 *
 * @param pages the pages that hold them
 * @param table the weights by {@link dev.lorikeet.shape.TargetModule#index}
 */
@SuppressWarnings("ArrayRecordComponent") // Handed from the loader to the store, never compared.
record Resident(int[] pages, List<Optional<LoraWeights>> table) {}
