package dev.lorikeet.cli.adapters;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.util.List;
import java.util.Locale;

/**
 * An adapter in JSON with each of its target modules.
 *
 * @param adapter what a line tells of it
 * @param checked whether all weights were read and checked against a model
 * @param targets the target modules, in their order
 * @param parts what it changes beside
 */
record AdapterDetails(
    AdapterReport adapter, boolean checked, List<Target> targets, List<Part> parts) {
  /** Something beside the factors, {@code [rows, columns]}; of single tokens with their ids. */
  record Part(
      String module,
      String kind,
      int rows,
      int columns,
      String type,
      long bytes,
      List<Integer> ids) {
    static Part of(PartSpec spec) {
      return new Part(
          spec.target().moduleName(),
          spec.kind().name().toLowerCase(Locale.ROOT),
          spec.rows(),
          spec.columns(),
          spec.type().name(),
          spec.bytes(),
          spec.indices());
    }
  }

  /** A target module; A is {@code [rank, inFeatures]}, B {@code [outFeatures, rank]}. */
  record Target(
      String module,
      int layer,
      String projection,
      int rank,
      int inFeatures,
      int outFeatures,
      float scaling,
      int aBlocks,
      int bBlocks,
      String type,
      boolean magnitude,
      long bytes) {
    static Target of(TargetSpec spec) {
      return new Target(
          spec.target().moduleName(),
          spec.target().layer(),
          spec.target().projection().moduleName(),
          spec.rank(),
          spec.inFeatures(),
          spec.outFeatures(),
          spec.scaling(),
          spec.aBlocks(),
          spec.bBlocks(),
          spec.type().name(),
          spec.magnitude(),
          spec.bytes());
    }
  }
}
