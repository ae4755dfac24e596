package dev.lorikeet.conformance.files;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NumericNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Reads a PEFT directory as the specification wants it read, all at once and without haste. */
public final class ReferencePeft {
  /** A target module with its weights: rows of A, and rows of B transposed. */
  public record Module(TargetSpec spec, List<byte[]> a, List<byte[]> b) {}

  private record Entry(ElementType type, long rows, long columns, long begin, long end) {}

  private static final class Pair {
    @Nullable Entry a;
    @Nullable Entry b;
  }

  private static final Pattern NAME =
      Pattern.compile(
          "base_model\\.model\\.model\\.layers\\.(\\d{1,9})\\.(self_attn|mlp)\\.(\\w+)\\.lora_([AB])\\.weight");

  private final Path directory;
  private final ModelShape shape;
  private final JsonNode config;

  private ReferencePeft(Path directory, ModelShape shape) {
    this.directory = directory;
    this.shape = shape;
    this.config = json(PeftFiles.CONFIG, read(PeftFiles.CONFIG));
  }

  public static List<Module> read(Path directory, ModelShape shape) {
    ReferencePeft peft = new ReferencePeft(directory, shape);
    peft.requireSupported();
    return peft.modules();
  }

  private static LorikeetException invalid(String file, String what) {
    return new LorikeetException(Code.ADAPTER_INVALID, file + ": " + what);
  }

  private static LorikeetException unsupported(String what) {
    return new LorikeetException(
        Code.ADAPTER_UNSUPPORTED, PeftFiles.CONFIG + ": " + what + " is not supported");
  }

  private byte[] read(String name) {
    Path file = directory.resolve(name);
    try {
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
        throw invalid(name, "expected a file, found none in " + directory);
      }
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new LorikeetException(Code.ADAPTER_INVALID, name + ": cannot be read: " + e, e);
    }
  }

  private static JsonNode json(String file, byte[] bytes) {
    try (JsonParser parser = Safetensors.JSON.createParser(bytes)) {
      JsonNode node = Safetensors.JSON.readTree(parser);
      if (node == null || !node.isObject()) {
        throw invalid(file, "expected a JSON object");
      }
      return node;
    } catch (JsonProcessingException e) {
      throw invalid(file, "not JSON: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw new LorikeetException(Code.ADAPTER_INVALID, file + ": cannot be read: " + e, e);
    }
  }

  private void requireSupported() {
    String type = config.path("peft_type").asText("LORA");
    if (!type.equals("LORA")) {
      throw unsupported("peft_type " + type);
    }
    for (String flag : List.of("use_dora", "lora_bias", "use_mora")) {
      if (config.path(flag).asBoolean()) {
        throw unsupported(flag);
      }
    }
    for (String list : List.of("modules_to_save", "trainable_token_indices", "layer_replication")) {
      JsonNode value = config.path(list);
      if (!value.isMissingNode() && !value.isNull() && !value.isEmpty()) {
        throw unsupported(list);
      }
    }
  }

  private double number(JsonNode node, String key) {
    if (!(node instanceof NumericNode) || !Double.isFinite(node.asDouble())) {
      throw invalid(PeftFiles.CONFIG, key + ": expected a finite number, found " + node);
    }
    return node.asDouble();
  }

  private double pattern(String key, TargetModule module, String otherwise) {
    JsonNode patterns = config.path(key);
    if (!patterns.isMissingNode() && !patterns.isNull() && !patterns.isObject()) {
      throw invalid(PeftFiles.CONFIG, key + ": expected an object, found " + patterns);
    }
    for (Map.Entry<String, JsonNode> entry : patterns.properties()) {
      if (module.moduleName().matches("(.*\\.)?(" + entry.getKey() + ")$")) {
        return number(entry.getValue(), key);
      }
    }
    return number(config.path(otherwise), otherwise);
  }

  private int blocks(String key, TargetModule module) {
    JsonNode settings = config.path("use_bdlora");
    for (JsonNode name : settings.path(key)) {
      if (module.moduleName().contains(name.asText())) {
        return settings.path("nblocks").asInt(1);
      }
    }
    return 1;
  }

  private List<Module> modules() {
    byte[] file = read(PeftFiles.WEIGHTS);
    long headerLength =
        file.length < 8 ? -1 : ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (headerLength < 2 || headerLength > file.length - 8) {
      throw invalid(PeftFiles.WEIGHTS, "header length " + headerLength + " of " + file.length);
    }
    byte[] head = new byte[(int) headerLength];
    System.arraycopy(file, 8, head, 0, head.length);
    JsonNode header = json(PeftFiles.WEIGHTS, head);
    long dataStart = 8 + headerLength;
    Map<TargetModule, Pair> pairs =
        new TreeMap<>(
            Comparator.comparingInt(TargetModule::layer).thenComparing(TargetModule::projection));
    List<Entry> entries = new ArrayList<>();
    for (Map.Entry<String, JsonNode> named : header.properties()) {
      if (!named.getKey().equals("__metadata__")) {
        if (named.getKey().contains("lora_embedding")) {
          throw unsupported("embedding " + named.getKey());
        }
        if (named.getKey().endsWith(".bias")) {
          throw unsupported("bias " + named.getKey());
        }
        Entry entry = entry(named.getKey(), named.getValue(), file.length - dataStart);
        entries.add(entry);
        sort(named.getKey(), entry, pairs);
      }
    }
    requireApart(entries);
    if (pairs.isEmpty()) {
      throw invalid(PeftFiles.WEIGHTS, "expected tensors, found none");
    }
    List<Module> modules = new ArrayList<>();
    MemorySegment data = MemorySegment.ofArray(file).asSlice(dataStart);
    pairs.forEach((target, pair) -> modules.add(module(target, pair, data)));
    return modules;
  }

  private Entry entry(String name, JsonNode node, long dataSize) {
    ElementType type;
    try {
      type = ElementType.valueOf(node.path("dtype").asText());
    } catch (IllegalArgumentException e) {
      throw invalid(PeftFiles.WEIGHTS, name + ": dtype " + node.path("dtype"));
    }
    long[] shape = longs(name, "shape", node);
    long[] offsets = longs(name, "data_offsets", node);
    boolean sane =
        shape[0] > 0
            && shape[1] > 0
            && shape[0] < 1 << 24
            && shape[1] < 1 << 24
            && offsets[0] >= 0
            && offsets[1] <= dataSize
            && offsets[1] - offsets[0] == shape[0] * shape[1] * type.bytes();
    if (!sane) {
      throw invalid(PeftFiles.WEIGHTS, name + ": shape and offsets " + node);
    }
    return new Entry(type, shape[0], shape[1], offsets[0], offsets[1]);
  }

  private static long[] longs(String name, String key, JsonNode node) {
    JsonNode list = node.path(key);
    if (!list.isArray() || list.size() != 2) {
      throw invalid(PeftFiles.WEIGHTS, name + ": " + key + ": expected two numbers, found " + list);
    }
    long[] longs = new long[2];
    for (int i = 0; i < 2; i++) {
      if (!list.get(i).isIntegralNumber() || !list.get(i).canConvertToLong()) {
        throw invalid(PeftFiles.WEIGHTS, name + ": " + key + ": found " + list);
      }
      longs[i] = list.get(i).asLong();
    }
    return longs;
  }

  private static void requireApart(List<Entry> entries) {
    List<Entry> sorted = entries.stream().sorted(Comparator.comparingLong(Entry::begin)).toList();
    for (int i = 1; i < sorted.size(); i++) {
      if (sorted.get(i).begin < sorted.get(i - 1).end) {
        throw invalid(PeftFiles.WEIGHTS, "tensors overlap");
      }
    }
  }

  private void sort(String name, Entry entry, Map<TargetModule, Pair> pairs) {
    Matcher matcher = NAME.matcher(name);
    Projection projection =
        matcher.matches() ? Projection.ofModuleName(matcher.group(3)).orElse(null) : null;
    if (projection == null) {
      if (name.contains(".lm_head.")) {
        throw unsupported("LoRA on lm_head");
      }
      throw invalid(PeftFiles.WEIGHTS, "unknown module " + name);
    }
    int layer = Integer.parseInt(matcher.group(1));
    if (layer >= shape.layers()) {
      throw invalid(PeftFiles.WEIGHTS, name + ": the base model has " + shape.layers());
    }
    Pair pair = pairs.computeIfAbsent(TargetModule.of(layer, projection), t -> new Pair());
    if (matcher.group(4).equals("A")) {
      pair.a = entry;
    } else {
      pair.b = entry;
    }
  }

  private Module module(TargetModule target, Pair pair, MemorySegment data) {
    Entry a = pair.a;
    Entry b = pair.b;
    if (a == null || b == null || a.type != b.type) {
      throw invalid(PeftFiles.WEIGHTS, target + ": expected A and B of one type");
    }
    double wanted = pattern("rank_pattern", target, "r");
    double alpha = pattern("alpha_pattern", target, "lora_alpha");
    int rank = (int) wanted;
    if (rank != wanted || rank < 1) {
      throw invalid(PeftFiles.CONFIG, "r: expected a positive whole number, found " + wanted);
    }
    int in = shape.inFeatures(target.projection());
    int out = shape.outFeatures(target.projection());
    int aBlocks = blocks("target_modules_bd_a", target);
    int bBlocks = blocks("target_modules_bd_b", target);
    if (a.rows != rank
        || a.columns != in / aBlocks
        || b.rows != out
        || b.columns != rank / bBlocks) {
      throw invalid(
          PeftFiles.WEIGHTS, target + ": rank " + rank + " does not fit A " + a + " and B " + b);
    }
    boolean rslora = config.path("use_rslora").asBoolean();
    float scaling = (float) (alpha / (rslora ? Math.sqrt(rank) : rank));
    List<byte[]> aRows = new ArrayList<>();
    List<byte[]> bRows = new ArrayList<>();
    for (int r = 0; r < rank; r++) {
      aRows.add(column(a, data, (long) r * a.columns, 1, in / aBlocks));
      int perBlock = rank / bBlocks;
      long first = (long) (r / perBlock) * (out / bBlocks) * perBlock + r % perBlock;
      bRows.add(column(b, data, first, perBlock, out / bBlocks));
    }
    return new Module(
        TargetSpec.builder(target)
            .rank(rank)
            .inFeatures(in)
            .outFeatures(out)
            .scaling(scaling)
            .aBlocks(aBlocks)
            .bBlocks(bBlocks)
            .type(a.type)
            .build(),
        aRows,
        bRows);
  }

  /** Returns elements that lie a stride apart. */
  private static byte[] column(Entry entry, MemorySegment data, long first, int stride, int count) {
    byte[] row = new byte[count * entry.type.bytes()];
    MemorySegment to = MemorySegment.ofArray(row);
    MemorySegment from = data.asSlice(entry.begin, entry.end - entry.begin);
    for (int i = 0; i < count; i++) {
      long index = first + (long) i * stride;
      if (!Float.isFinite(ElementCodec.get(from, entry.type, index))) {
        throw invalid(PeftFiles.WEIGHTS, "a weight that is not finite");
      }
      int size = entry.type.bytes();
      MemorySegment.copy(from, index * size, to, (long) i * size, size);
    }
    return row;
  }
}
