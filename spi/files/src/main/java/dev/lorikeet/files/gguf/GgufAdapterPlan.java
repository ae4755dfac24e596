package dev.lorikeet.files.gguf;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Makes the plan of an adapter of what its GGUF file says.
 *
 * @param header of the file
 * @param shape the sizes of the base model, or empty for any
 */
record GgufAdapterPlan(GgufHeader header, Optional<ModelShape> shape) {
  private static final Pattern NAME =
      Pattern.compile("blk\\.(\\d{1,4})\\.([a-z_]+)\\.weight\\.lora_([ab])");
  private static final int MAX_FEATURES = 1 << 20;
  private static final String ALPHA = "adapter.lora.alpha";
  private static final String TYPE = "general.type";
  private static final double LARGEST = 1e6;

  /** The tensors of one module; empty where a factor is missing. */
  private record Pair(Optional<GgufHeader.Tensor> a, Optional<GgufHeader.Tensor> b) {
    static final Pair NONE = new Pair(Optional.empty(), Optional.empty());

    Pair with(String factor, GgufHeader.Tensor tensor) {
      return factor.equals("a")
          ? new Pair(Optional.of(tensor), b)
          : new Pair(a, Optional.of(tensor));
    }
  }

  /** Returns what the base model's architecture is called. */
  static String architecture(GgufHeader header) {
    String key = "general.architecture";
    return header
        .metadata()
        .text(key)
        .orElseThrow(() -> header.metadata().missing(key, "that of the base model"));
  }

  AdapterPlan read() {
    GgufMetadata metadata = header.metadata();
    String type = metadata.text(TYPE).orElse("model");
    if (!type.equals("adapter")) {
      throw metadata.wrong(TYPE, "'adapter'", "'" + type + "': name a model as the base model");
    }
    String kind = metadata.text("adapter.type").orElse("lora");
    if (!kind.equals("lora")) {
      throw metadata.unsupported("adapter.type", "'lora'", "'" + Faults.show(kind) + "'");
    }
    String activated = "adapter.alora.invocation_tokens";
    if (metadata.has(activated)) {
      throw metadata.unsupported(activated, "nothing", "an adapter that a text switches on");
    }
    architecture(header);
    double alpha = metadata.number(ALPHA, 0, LARGEST).orElse(0);
    SortedMap<Integer, Map<String, Pair>> layers = pairs();
    List<Placed> placed = new ArrayList<>();
    for (var layer : layers.entrySet()) {
      for (ModuleNames.Module module : modules().modules()) {
        Pair pair = layer.getValue().remove(GgufNames.module(module));
        if (pair != null) {
          place(layer.getKey(), module, pair, alpha, placed);
        }
      }
      if (!layer.getValue().isEmpty()) {
        String module = layer.getValue().keySet().iterator().next();
        throw refuseModule("blk." + layer.getKey() + "." + module + ".weight.lora_a");
      }
    }
    if (placed.isEmpty()) {
      throw Faults.ADAPTER.refuse(
          header.file(), "expected at least one pair of factors, found none");
    }
    return AdapterPlan.of(placed);
  }

  private ModuleNames modules() {
    return shape.map(ModelShape::modules).orElse(ModuleNames.LLAMA);
  }

  private SortedMap<Integer, Map<String, Pair>> pairs() {
    SortedMap<Integer, Map<String, Pair>> layers = new TreeMap<>();
    for (GgufHeader.Tensor tensor : header.tensors().values()) {
      Matcher name = NAME.matcher(tensor.name());
      if (!name.matches()) {
        throw refuseModule(tensor.name());
      }
      int layer = Integer.parseInt(name.group(1));
      if (shape.isPresent() && layer >= shape.get().layers()) {
        throw Faults.ADAPTER.refuse(
            header.where(tensor.name()),
            "expected layers 0 to " + (shape.get().layers() - 1) + " of the base model");
      }
      layers
          .computeIfAbsent(layer, l -> new TreeMap<>())
          .merge(
              name.group(2),
              Pair.NONE.with(name.group(3), tensor),
              (before, now) -> before.with(name.group(3), tensor));
    }
    return layers;
  }

  private LorikeetException refuseModule(String tensor) {
    return Faults.ADAPTER.refuseUnsupported(
        header.where(tensor),
        "expected factors of the linear layers of attention and MLP that the base model has, such"
            + " as blk.0.attn_q.weight.lora_a");
  }

  private void place(
      int layer, ModuleNames.Module module, Pair pair, double alpha, List<Placed> placed) {
    String name = "blk." + layer + "." + GgufNames.module(module) + ".weight.lora_";
    GgufHeader.Tensor a = pair.a().orElseThrow(() -> missing(name + "a"));
    GgufHeader.Tensor b = pair.b().orElseThrow(() -> missing(name + "b"));
    int rank = size(a, 0, AdapterPlan.MAX_RANK, "rank");
    int in =
        shape
            .map(s -> s.inFeatures(module.parts().getFirst()))
            .orElseGet(() -> size(a, 1, MAX_FEATURES, "features"));
    int out =
        shape.map(s -> s.outFeatures(module)).orElseGet(() -> size(b, 0, MAX_FEATURES, "features"));
    checkShape(a, rank, in, "[rank, in]");
    checkShape(b, out, rank, "[out, rank]");
    ElementType ofA = type(a);
    ElementType ofB = type(b);
    ElementType type = ofA == ofB ? ofA : ElementType.F32; // which holds the values of both
    long row = 0;
    for (Projection projection : module.parts()) {
      int rows = module.parts().size() == 1 ? out : shape.orElseThrow().outFeatures(projection);
      TargetSpec spec =
          TargetSpec.builder(TargetModule.of(layer, projection))
              .rank(rank)
              .inFeatures(in)
              .outFeatures(rows)
              .scaling((float) (alpha == 0 ? 1 : alpha / rank))
              .type(type)
              .build();
      placed.add(
          new Placed(
              spec,
              Stored.dense(a.begin(), ofA),
              Stored.dense(b.begin() + row * rank * ofB.bytes(), ofB),
              Optional.empty()));
      row += rows;
    }
  }

  private LorikeetException missing(String tensor) {
    return Faults.ADAPTER.invalid(header.file(), "a tensor " + tensor, "nothing");
  }

  private int size(GgufHeader.Tensor tensor, int dimension, int most, String what) {
    List<Long> stored = tensor.shape();
    if (stored.size() != 2 || stored.get(dimension) < 1 || stored.get(dimension) > most) {
      throw Faults.ADAPTER.refuse(
          header.where(tensor.name()),
          "expected two dimensions and a "
              + what
              + " from 1 to "
              + most
              + ", found shape "
              + stored);
    }
    return stored.get(dimension).intValue();
  }

  private void checkShape(GgufHeader.Tensor tensor, long rows, long columns, String meaning) {
    List<Long> expected = List.of(rows, columns);
    if (!tensor.shape().equals(expected)) {
      throw Faults.ADAPTER.refuse(
          header.where(tensor.name()),
          "expected shape " + expected + ", " + meaning + ", found " + tensor.shape());
    }
  }

  private ElementType type(GgufHeader.Tensor tensor) {
    return switch (tensor.type()) {
      case F32 -> ElementType.F32;
      case F16 -> ElementType.F16;
      case BF16 -> ElementType.BF16;
      default ->
          throw Faults.ADAPTER.unsupported(
              header.where(tensor.name()) + ": type",
              "F32, F16 or BF16 (convert_lora_to_gguf.py --outtype f16 writes them)",
              tensor.type());
    };
  }
}
