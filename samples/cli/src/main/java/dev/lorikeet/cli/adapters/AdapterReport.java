package dev.lorikeet.cli.adapters;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.AdapterDescription;
import dev.lorikeet.cli.console.Visible;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What there is to tell of an adapter in a line, and its keys in JSON.
 *
 * @param path where it is
 * @param format {@code peft} or {@code arrow}
 * @param baseModel the name of its base model, null if it is not recorded
 * @param modules number of target modules
 * @param projections the projections that it changes in any layer
 * @param rank its rank, {@code lowest-highest}, or {@code none} of an adapter without factors
 * @param type the element type of its weights, several separated by commas
 * @param bytes what everything takes
 */
record AdapterReport(
    String path,
    String format,
    @Nullable String baseModel,
    int modules,
    List<String> projections,
    String rank,
    String type,
    long bytes) {
  static AdapterReport of(Path path, AdapterDescription description) {
    List<TargetSpec> targets = description.targets();
    var ranks = targets.stream().mapToInt(TargetSpec::rank).summaryStatistics();
    return new AdapterReport(
        path.toString(),
        description.format().name().toLowerCase(Locale.ROOT),
        description.baseModel().orElse(null),
        targets.size(),
        distinct(targets, t -> t.target().projection().moduleName()),
        targets.isEmpty()
            ? "none"
            : ranks.getMin() == ranks.getMax()
                ? "" + ranks.getMin()
                : ranks.getMin() + "-" + ranks.getMax(),
        Stream.concat(
                targets.stream().map(TargetSpec::type),
                description.parts().stream().map(PartSpec::type))
            .distinct()
            .map(Enum::name)
            .collect(Collectors.joining(",")),
        description.bytes());
  }

  private static List<String> distinct(
      List<TargetSpec> targets, Function<TargetSpec, String> what) {
    return targets.stream().map(what).distinct().collect(Collectors.toList());
  }

  /** Returns the name of the base model for people. */
  String baseModelText() {
    return baseModel == null ? "not recorded" : Visible.oneLine(baseModel);
  }
}
