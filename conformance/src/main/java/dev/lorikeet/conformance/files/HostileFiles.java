package dev.lorikeet.conformance.files;

import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.random.RandomGenerator;

/**
 * An adapter directory that must be refused.
 *
 * @param what what is wrong with it
 * @param code the code of the refusal
 * @param names what the message must name
 * @param writer writes it
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared; private to the suite.
public record HostileFiles(String what, Code code, String[] names, Consumer<Path> writer) {
  private static final TargetModule Q = TargetModule.of(0, Projection.Q);
  private static final String A = PeftFiles.name(Q, "lora_A");
  private static final String B = PeftFiles.name(Q, "lora_B");

  public void write(Path directory) {
    writer.accept(directory);
  }

  public static List<HostileFiles> all(RandomGenerator random) {
    Collector all = new Collector(random);
    all.headers();
    all.entries();
    all.contents();
    all.configurations();
    all.folders();
    all.unsupported();
    return all.list;
  }

  private static final class Collector {
    final List<HostileFiles> list = new ArrayList<>();
    private final RandomGenerator random;

    Collector(RandomGenerator random) {
      this.random = random;
    }

    private PeftFiles fresh() {
      return PeftFiles.random(PeftFiles.form(4), random);
    }

    /** A directory whose weights file is made by {@code bytes}. */
    private void file(String what, Function<PeftFiles, byte[]> bytes) {
      list.add(
          new HostileFiles(
              what,
              Code.ADAPTER_INVALID,
              new String[] {PeftFiles.WEIGHTS},
              directory -> {
                PeftFiles files = fresh();
                files.write(directory);
                Safetensors.write(directory.resolve(PeftFiles.WEIGHTS), bytes.apply(files));
              }));
    }

    /** A directory whose header was bent. */
    private void header(String what, Consumer<Safetensors> bend) {
      file(
          what,
          files -> {
            bend.accept(files.weights);
            return files.weights.bytes();
          });
    }

    /** A directory whose configuration was bent. */
    private void config(
        Code code, String what, Consumer<Map<String, Object>> bend, String... names) {
      list.add(
          new HostileFiles(
              what,
              code,
              names,
              directory -> {
                PeftFiles files = fresh();
                bend.accept(files.config);
                files.write(directory);
              }));
    }

    void headers() {
      file("an empty file", f -> new byte[0]);
      file("a file of seven bytes", f -> new byte[7]);
      file("a header longer than the file", f -> f.weights.bytes(1L << 20, text("{}")));
      file("a header of negative length", f -> f.weights.bytes(-1, text("{}")));
      file("a header of absurd length", f -> f.weights.bytes(Long.MAX_VALUE, text("{}")));
      file("a header of length zero", f -> f.weights.bytes(0, new byte[0]));
      file("a header that is no JSON", f -> f.weights.bytes(8, text("{'a': b}")));
      file("a header that is a list", f -> f.weights.bytes(2, text("[]")));
      file("a header without tensors", f -> f.weights.bytes(2, text("{}")));
      file("a header nested without end", f -> nested(f, 200_000));
      file(
          "a header cut off",
          f -> f.weights.bytes(100, Arrays.copyOf(text(f.weights.headerText()), 100)));
      file("truncated data", f -> Safetensors.truncated(f.weights.bytes(), 1));
      file(
          "data cut in half",
          f -> Safetensors.truncated(f.weights.bytes(), f.weights.dataSize() / 2));
    }

    private static byte[] nested(PeftFiles files, int depth) {
      byte[] head = text("{\"a\":" + Safetensors.nested(depth));
      return files.weights.bytes(head.length, head);
    }

    void entries() {
      header("an end before the begin", w -> offsets(w, 512, 0));
      header("a negative offset", w -> offsets(w, -512, 0));
      header("offsets past the end", w -> offsets(w, w.dataSize(), w.dataSize() + 512L));
      header(
          "offsets near the largest number", w -> offsets(w, Long.MAX_VALUE - 512, Long.MAX_VALUE));
      header("offsets that do not match the shape", w -> offsets(w, 0, 508));
      header("overlapping tensors", w -> w.entry(B).put("data_offsets", new long[] {256, 768}));
      header("a shape that overflows", w -> shape(w, 1L << 62, 8));
      header("a shape that overflows to its size", w -> shape(w, (1L << 32) + 4, 1L << 32));
      header("a negative shape", w -> shape(w, -4, -32));
      header("a shape of zero", w -> shape(w, 0, 32));
      header("a shape of one dimension", w -> w.entry(A).put("shape", new long[] {128}));
      header("a shape of three dimensions", w -> w.entry(A).put("shape", new long[] {4, 8, 4}));
      header(
          "a shape of numbers with fractions",
          w -> w.entry(A).put("shape", new double[] {4.5, 32}));
      header("a shape that is text", w -> w.entry(A).put("shape", "4x32"));
      header("exchanged dimensions", w -> shape(w, 32, 4));
      header("an unknown element type", w -> w.entry(A).put("dtype", "F33"));
      header("integer weights", w -> w.entry(A).put("dtype", "I32"));
      header("an entry without offsets", w -> w.entry(A).remove("data_offsets"));
      header("an entry without a shape", w -> w.entry(A).remove("shape"));
      header("A without B", w -> w.header().remove(B));
      header("B without A", w -> w.header().remove(A));
    }

    private static void offsets(Safetensors weights, long begin, long end) {
      weights.entry(A).put("data_offsets", new long[] {begin, end});
    }

    private static void shape(Safetensors weights, long rows, long columns) {
      weights.entry(A).put("shape", new long[] {rows, columns});
    }

    void contents() {
      for (ElementType type : ElementType.values()) {
        for (float bad :
            new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
          list.add(
              new HostileFiles(
                  bad + " among " + type + " weights",
                  Code.ADAPTER_INVALID,
                  new String[] {PeftFiles.WEIGHTS},
                  directory -> poisoned(type, bad).write(directory)));
        }
      }
      header(
          "a module that does not exist",
          w -> rename(w, "base_model.model.model.layers.0.self_attn.z_proj"));
      header(
          "a module outside the layers", w -> rename(w, "base_model.model.model.self_attn.q_proj"));
      header(
          "a layer whose number is no number",
          w -> rename(w, "base_model.model.model.layers.x.self_attn.q_proj"));
      header(
          "a layer whose number is absurd",
          w -> rename(w, "base_model.model.model.layers.99999999999999999999.self_attn.q_proj"));
      header("two ranks in one module", w -> w.add(B, ElementType.F32, new float[32][5]));
    }

    private PeftFiles poisoned(ElementType type, float bad) {
      PeftFiles.Form form = PeftFiles.form(4);
      PeftFiles files =
          PeftFiles.random(
              new PeftFiles.Form(form.shape(), form.modules(), 4, 8, type, Map.of()), random);
      // The last element of the last tensor: the one that a check that stops early misses.
      var f = files.factors().getLast();
      float[][] b = Safetensors.transposed(f.b());
      b[b.length - 1][b[0].length - 1] = bad;
      files.weights.header().remove(PeftFiles.name(f.target(), "lora_B"));
      Safetensors rest = new Safetensors();
      for (var g : files.factors()) {
        rest.add(PeftFiles.name(g.target(), "lora_A"), type, g.a());
        rest.add(
            PeftFiles.name(g.target(), "lora_B"),
            type,
            g.target().equals(f.target()) ? b : Safetensors.transposed(g.b()));
      }
      return files.withWeights(rest);
    }

    private static void rename(Safetensors weights, String module) {
      Map<String, Object> a = new HashMap<>(weights.entry(A));
      Map<String, Object> b = new HashMap<>(weights.entry(B));
      weights.header().remove(A);
      weights.header().remove(B);
      weights.header().put(module + ".lora_A.weight", a);
      weights.header().put(module + ".lora_B.weight", b);
    }

    void configurations() {
      Code invalid = Code.ADAPTER_INVALID;
      String file = PeftFiles.CONFIG;
      config(invalid, "no rank", c -> c.remove("r"), file, "r");
      config(invalid, "a rank of zero", c -> c.put("r", 0), file, "r");
      config(invalid, "a negative rank", c -> c.put("r", -4), file, "r");
      config(invalid, "a rank that is text", c -> c.put("r", "four"), file, "r");
      config(invalid, "another rank than the weights'", c -> c.put("r", 5));
      config(invalid, "an alpha that is text", c -> c.put("lora_alpha", "x"), file, "lora_alpha");
      config(
          invalid,
          "a rank pattern that is a list",
          c -> c.put("rank_pattern", List.of(4)),
          file,
          "rank_pattern");
      text("a configuration that is no JSON", "{r: 4");
      text("a configuration that is a list", "[1, 2]");
      text("an empty configuration", "");
      text("a configuration nested without end", "{\"r\":" + Safetensors.nested(200_000));
      text(
          "an alpha beyond all numbers",
          "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":1e999,\"target_modules\":[\"q_proj\"]}");
    }

    private void text(String what, String config) {
      list.add(
          new HostileFiles(
              what,
              Code.ADAPTER_INVALID,
              new String[] {PeftFiles.CONFIG},
              directory -> {
                fresh().write(directory);
                Safetensors.write(directory.resolve(PeftFiles.CONFIG), text(config));
              }));
    }

    void folders() {
      list.add(
          new HostileFiles(
              "a folder that does not exist",
              Code.ADAPTER_INVALID,
              new String[] {},
              directory -> {}));
      for (String missing : List.of(PeftFiles.CONFIG, PeftFiles.WEIGHTS)) {
        list.add(
            new HostileFiles(
                "no " + missing,
                Code.ADAPTER_INVALID,
                new String[] {missing},
                directory -> delete(fresh().write(directory).resolve(missing))));
        list.add(
            new HostileFiles(
                missing + " as a link out of the folder",
                Code.ADAPTER_INVALID,
                new String[] {missing},
                directory -> linkOut(directory, missing)));
      }
    }

    private void linkOut(Path directory, String file) {
      Path elsewhere =
          fresh().write(directory.resolveSibling(directory.getFileName() + "-elsewhere"));
      Path link = fresh().write(directory).resolve(file);
      delete(link);
      try {
        Files.createSymbolicLink(link, elsewhere.resolve(file));
      } catch (IOException | UnsupportedOperationException e) {
        // Without links there is nothing to follow; the file is missing, which is refused as well.
      }
    }

    private static void delete(Path file) {
      try {
        Files.delete(file);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    void unsupported() {
      Code code = Code.ADAPTER_UNSUPPORTED;
      config(code, "LoHa", c -> c.put("peft_type", "LOHA"), "LOHA");
      config(code, "OFT", c -> c.put("peft_type", "OFT"), "OFT");
      config(code, "MoRA", c -> c.put("use_mora", true), "mora");
      config(
          code,
          "layer replication",
          c -> c.put("layer_replication", List.of(List.of(0, 2), List.of(1, 3))),
          "layer_replication");
    }

    private static byte[] text(String text) {
      return text.getBytes(StandardCharsets.UTF_8);
    }
  }
}
