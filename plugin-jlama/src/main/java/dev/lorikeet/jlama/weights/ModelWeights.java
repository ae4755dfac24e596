package dev.lorikeet.jlama.weights;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.MappedFiles;
import dev.lorikeet.files.gguf.GgufModel;
import dev.lorikeet.files.gguf.GgufWeights;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.TensorNames;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.jlama.kernel.HugePages;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The weights of a model directory or a GGUF file, mapped into memory and never copied, but for
 * norms and biases, which are widened to float32, and a GGUF file's Q4_0, which becomes Jlama's Q4.
 * Everything is checked before the first use: that each tensor the configuration calls for is there
 * with its shape and a type that the kernels read, and that nothing else is.
 *
 * <p>Safe for any number of reading threads. {@link #close} unmaps the files; no kernel may run
 * then or later, since kernels use plain addresses. A file that someone truncates while a kernel
 * reads it ends the JVM with a signal; {@link #checkUnchanged} finds it out before.
 */
public final class ModelWeights implements AutoCloseable {
  /*
   * Jlama's formats, names and tensor types, our own mapping. Jlama 0.8.4's SafeTensorIndex was not used for it,
   * because it widens F16 files to float32 arrays on the heap; cuts files at 2 GiB, and a larger tensor into parts
   * whose offsets are wrong unless it is the first of its file; believes headers; and leaves unmapping to the garbage
   * collector. A test holds every tensor to the one that Jlama's loader would have read.
   */
  /** The causal mask that old GPT-2 files have in every layer. */
  private static final Pattern MASK = Pattern.compile(".*\\.\\d+\\.attn\\.(masked_)?bias");

  private final Arena arena;
  private final Map<String, StoredTensor> stored;
  private final MappedFiles files;
  private final WeightMatrix embedding;
  private final WeightMatrix output;
  private final boolean tied;
  private final Optional<WeightMatrix> positions;
  private final LayerWeights.Norm finalNorm;
  private final List<LayerWeights> layers;
  private final String storage;

  private ModelWeights(
      Arena arena,
      TensorReader reader,
      Architecture config,
      Map<String, StoredTensor> stored,
      MappedFiles files) {
    this.arena = arena;
    this.stored = stored;
    this.files = files;
    ModelShape shape = config.shape();
    TensorNames names = config.names();
    this.embedding = reader.matrix(names.embedding(), shape.vocabulary(), shape.hidden());
    this.positions =
        names.positions().map(name -> reader.matrix(name, config.maxPositions(), shape.hidden()));
    this.tied = config.tiedEmbeddings() && !reader.differs(names.output(), embedding);
    this.output =
        tied ? embedding : reader.matrix(names.output(), shape.vocabulary(), shape.hidden());
    this.finalNorm = norm(reader, config, names.finalNorm());
    List<LayerWeights> read = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      read.add(layer(reader, config, layer));
    }
    this.layers = List.copyOf(read);
    this.storage = mostBytes(stored);
    reader.refuseUnread(name -> isHarmless(name, config));
    files.check();
  }

  private static Set<Path> files(Map<String, StoredTensor> tensors) {
    Set<Path> files = new TreeSet<>();
    tensors.values().forEach(tensor -> files.add(tensor.file()));
    return files;
  }

  /**
   * Maps and checks the weights of a model directory.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED}, naming file
   *     and tensor, what was found and what was expected; nothing stays mapped then
   */
  public static ModelWeights open(Path directory, Architecture config) {
    return open(directory, config, false);
  }

  /**
   * As {@link #open(Path, Architecture)}, and copies the weights into huge pages if asked to, which
   * kernels read faster, at the cost of memory that the operating system cannot drop.
   */
  public static ModelWeights open(Path directory, Architecture config, boolean copied) {
    Arena arena = Arena.ofShared();
    MappedFiles watched = MappedFiles.none();
    try {
      Map<String, StoredTensor> mapped = map(directory, config, arena);
      watched = MappedFiles.watch(Faults.MODEL, files(mapped));
      if (!copied) {
        return of(arena, directory, config, mapped, watched);
      }
      Map<String, StoredTensor> own = copy(mapped, arena);
      watched.check();
      watched.close();
      return of(arena, directory, config, own, MappedFiles.none());
    } catch (RuntimeException | Error e) {
      watched.close();
      arena.close();
      throw e;
    }
  }

  private static Map<String, StoredTensor> map(Path path, Architecture config, Arena arena) {
    Optional<Path> gguf = GgufModel.at(path);
    return gguf.isPresent()
        ? GgufWeights.map(gguf.get(), config, arena)
        : TextTensors.of(WeightFiles.map(path, arena), config.names());
  }

  private static ModelWeights of(
      Arena arena,
      Path directory,
      Architecture config,
      Map<String, StoredTensor> stored,
      MappedFiles files) {
    TensorReader reader = new TensorReader(directory, stored, arena);
    return new ModelWeights(arena, reader, config, stored, files);
  }

  /**
   * Returns weights that are all zero, for a model that is not there.
   *
   * @param storage how the matrices are stored, as {@link #storage} names it
   */
  public static ModelWeights blank(Architecture config, String storage) {
    Arena arena = Arena.ofShared();
    try {
      StoredType type = StoredType.valueOf(storage);
      TensorReader reader = TensorReader.blank(fitting(type, config.shape()), arena);
      return new ModelWeights(arena, reader, config, Map.of(), MappedFiles.none());
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  /** A model that is too narrow for large blocks has small ones, which are widened much alike. */
  private static StoredType fitting(StoredType type, ModelShape shape) {
    int block = type.blockElements();
    boolean fits =
        shape.hidden() % block == 0
            && shape.intermediate() % block == 0
            && shape.queryWidth() % block == 0;
    return fits ? type : StoredType.Q8_0;
  }

  /**
   * Copies all tensors into one region, each on a cache line of its own, but those of which a copy
   * is made in any case.
   */
  private static Map<String, StoredTensor> copy(Map<String, StoredTensor> mapped, Arena arena) {
    long bytes =
        mapped.values().stream()
            .filter(t -> t.type() != StoredType.Q4_0)
            .mapToLong(t -> wholeLines(t.bytes().byteSize()))
            .sum();
    MemorySegment region = HugePages.allocate(arena, Math.max(1, bytes));
    Map<String, StoredTensor> copied = new HashMap<>();
    long at = 0;
    for (Map.Entry<String, StoredTensor> entry : mapped.entrySet()) {
      StoredTensor t = entry.getValue();
      if (t.type() == StoredType.Q4_0) {
        copied.put(entry.getKey(), t);
        continue;
      }
      MemorySegment slice = region.asSlice(at, t.bytes().byteSize()).copyFrom(t.bytes());
      copied.put(entry.getKey(), new StoredTensor(t.name(), t.file(), t.type(), t.shape(), slice));
      at += wholeLines(t.bytes().byteSize());
    }
    return copied;
  }

  private static long wholeLines(long bytes) {
    return (bytes + 63) / 64 * 64;
  }

  private static LayerWeights layer(TensorReader reader, Architecture config, int layer) {
    TensorNames names = config.names();
    String prefix = names.layer(layer);
    Map<Projection, Linear> linears = new EnumMap<>(Projection.class);
    for (ModuleNames.Module module : config.shape().modules().modules()) {
      read(reader, config, prefix, module, linears);
    }
    config
        .experts()
        .filter(experts -> !experts.in(layer))
        .ifPresent(
            experts -> readDense(reader, config, prefix, experts.dense().intermediate(), linears));
    Map<Norm.Place, Optional<LayerWeights.Norm>> norms = new EnumMap<>(Norm.Place.class);
    for (Norm.Place place : Norm.Place.values()) {
      Optional<String> name = Optional.ofNullable(names.norms().get(place));
      norms.put(place, name.map(n -> norm(reader, config, prefix + n)));
    }
    ModelShape shape = config.shape();
    return new LayerWeights(
        linears,
        norms,
        ofQueryOrKey(reader, config, prefix + names.queryNorm(), shape.queryWidth()),
        ofQueryOrKey(reader, config, prefix + names.keyNorm(), shape.kvWidth()),
        config
            .experts()
            .filter(experts -> experts.in(layer))
            .map(experts -> experts(reader, shape, prefix, experts)));
  }

  /** Reads the MLP of a layer without experts in a model that has them. */
  private static void readDense(
      TensorReader reader,
      Architecture config,
      String prefix,
      int intermediate,
      Map<Projection, Linear> linears) {
    ModelShape shape =
        config.shape().toBuilder().intermediate(intermediate).modules(ModuleNames.LLAMA).build();
    for (Projection projection : List.of(Projection.GATE, Projection.UP, Projection.DOWN)) {
      linears.put(
          projection,
          new Linear(
              reader.matrix(
                  prefix + projection.path() + ".weight",
                  shape.outFeatures(projection),
                  shape.inFeatures(projection)),
              Optional.empty()));
    }
  }

  private static ExpertWeights experts(
      TensorReader reader, ModelShape shape, String prefix, Experts experts) {
    List<ExpertWeights.Expert> read = new ArrayList<>();
    for (int e = 0; e < experts.count(); e++) {
      String name = prefix + experts.prefix() + e + ".";
      read.add(
          new ExpertWeights.Expert(
              ofExpert(reader, shape, name, experts, Projection.GATE),
              ofExpert(reader, shape, name, experts, Projection.UP),
              ofExpert(reader, shape, name, experts, Projection.DOWN)));
    }
    WeightMatrix router = reader.matrix(prefix + experts.router(), experts.count(), shape.hidden());
    return new ExpertWeights(router, read);
  }

  private static WeightMatrix ofExpert(
      TensorReader reader, ModelShape shape, String name, Experts experts, Projection projection) {
    return reader.matrix(
        name + experts.modules().get(projection) + ".weight",
        shape.outFeatures(projection),
        shape.inFeatures(projection));
  }

  private static LayerWeights.Norm norm(TensorReader reader, Architecture config, String name) {
    int hidden = config.shape().hidden();
    return new LayerWeights.Norm(
        reader.vector(name + ".weight", hidden, config.norm().weightOffset()),
        config.norm().kind() == Norm.Kind.LAYER
            ? Optional.of(reader.vector(name + ".bias", hidden))
            : Optional.empty());
  }

  private static Optional<MemorySegment> ofQueryOrKey(
      TensorReader reader, Architecture config, String name, int width) {
    double offset = config.norm().weightOffset();
    return switch (config.attention().norms()) {
      case NONE -> Optional.empty();
      case HEADS -> Optional.of(reader.vector(name, config.shape().headDim(), offset));
      case ROWS -> Optional.of(reader.vector(name, width, offset));
    };
  }

  /** Reads a module, whose rows are those of one or several projections. */
  private static void read(
      TensorReader reader,
      Architecture config,
      String prefix,
      ModuleNames.Module module,
      Map<Projection, Linear> linears) {
    ModelShape shape = config.shape();
    String name = prefix + module.path();
    int out = shape.outFeatures(module);
    int in = shape.inFeatures(module.parts().getFirst());
    WeightMatrix whole =
        config.names().transposed()
            ? reader.transposed(name + ".weight", out, in)
            : reader.matrix(name + ".weight", out, in);
    boolean biased = config.biased().containsAll(module.parts());
    Optional<MemorySegment> bias =
        biased ? Optional.of(reader.vector(name + ".bias", out)) : Optional.empty();
    for (Projection projection : module.parts()) {
      int first = shape.firstRow(projection);
      int rows = shape.outFeatures(projection);
      linears.put(
          projection,
          rows == out
              ? new Linear(whole, bias)
              : new Linear(
                  whole.slice(first, rows),
                  bias.map(b -> b.asSlice((long) first * Float.BYTES, (long) rows * Float.BYTES))));
    }
  }

  /** What old checkpoints carry along and transformers passes over without a word. */
  private static boolean isHarmless(String name, Architecture config) {
    return name.contains(".rotary_emb.")
        || MASK.matcher(name).matches()
        || (config.tiedEmbeddings()
            && (name.equals(config.names().output())
                || name.equals(config.names().output() + ".qb")));
  }

  private static String mostBytes(Map<String, StoredTensor> stored) {
    Map<StoredType, Long> bytes = new HashMap<>();
    stored.values().stream()
        .filter(tensor -> !tensor.name().endsWith(".qb"))
        .forEach(tensor -> bytes.merge(tensor.type(), tensor.bytes().byteSize(), Long::sum));
    return bytes.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(entry -> entry.getKey().name())
        .orElse("none");
  }

  /**
   * Looks whether somebody has changed the mapped files in place; for the beginning of a step.
   *
   * @throws LorikeetException with {@code MODEL_INVALID}, naming the file
   */
  public void checkUnchanged() {
    files.check();
  }

  /** Returns the token embedding, {@code [vocabulary, hidden]}. */
  public WeightMatrix embedding() {
    return embedding;
  }

  /**
   * Returns the output matrix, {@code [vocabulary, hidden]}; the embedding itself where they are
   * tied.
   */
  public WeightMatrix output() {
    return output;
  }

  /** Returns whether the output matrix is that of the embeddings. */
  public boolean isTied() {
    return tied;
  }

  /** Returns the embedding of positions, {@code [maxPositions, hidden]}, where there is one. */
  public Optional<WeightMatrix> positions() {
    return positions;
  }

  /** Returns the norm behind the last layer. */
  public LayerWeights.Norm finalNorm() {
    return finalNorm;
  }

  /** Returns the decoder layers in order. */
  public List<LayerWeights> layers() {
    return layers;
  }

  /**
   * Returns the element type that most bytes are stored in: {@code F32}, {@code F16}, {@code BF16},
   * {@code Q4}, or of a GGUF file {@code Q8_0}, {@code Q4_K} and the like as well.
   */
  public String storage() {
    return storage;
  }

  /** Returns how many bytes all tensors take. */
  public long bytes() {
    return stored.values().stream().mapToLong(tensor -> tensor.bytes().byteSize()).sum();
  }

  /** Returns the mapped tensors by name; valid until this object is closed. */
  Map<String, StoredTensor> stored() {
    return stored;
  }

  /** Unmaps the files. Closing twice is harmless. */
  @Override
  public void close() {
    files.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
