package dev.lorikeet.cli.adapters;

import dev.lorikeet.adapter.TargetSpec;
import java.util.List;

/**
 * An adapter in JSON with each of its target modules.
 *
 * @param adapter what a line tells of it
 * @param checked whether all weights were read and checked against a model
 * @param targets the target modules, sorted by layer and projection
 */
record AdapterDetails(AdapterReport adapter, boolean checked, List<Target> targets) {
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
          spec.bytes());
    }
  }
}
