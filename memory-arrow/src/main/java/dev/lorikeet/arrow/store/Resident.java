package dev.lorikeet.arrow.store;

import dev.lorikeet.files.adapter.WeightTable;

/**
 * The weights of an adapter in memory.
 *
 * @param pages the pages that hold them
 * @param table the weights by target module
 */
@SuppressWarnings("ArrayRecordComponent") // Handed from the loader to the store, never compared.
record Resident(int[] pages, WeightTable table) {}
