package dev.lorikeet.arrow;

import static dev.lorikeet.LorikeetException.Code.ADAPTER_INVALID;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;

/**
 * One damaged, hostile or unsupported adapter.
 *
 * @param name what is wrong with it
 * @param code how it is refused
 * @param change what is changed before it is written
 * @param damage what is done to its files
 * @param parts what the message must say
 */
record HostileCase(
    String name, LorikeetException.Code code, Change change, Damage damage, List<String> parts) {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";

  /** Changes an adapter before, or its files after, it is written. */
  interface Change {
    void apply(PeftWriter writer) throws IOException;
  }

  interface Damage {
    void apply(Path adapter, PeftWriter writer) throws IOException;
  }

  static PeftWriter sound() {
    return PeftWriter.of(
        PeftWriter.SHAPE, 4, "F32", EnumSet.of(Projection.Q, Projection.DOWN), new Random(1));
  }

  static HostileCase config(LorikeetException.Code code, String key, String json, String... parts) {
    List<String> mentioned = new ArrayList<>(List.of(parts));
    mentioned.add(CONFIG);
    return new HostileCase(
        key + " = " + (json.length() > 60 ? json.substring(0, 60) : json),
        code,
        writer -> writer.config.set(key, new ObjectMapper().readTree(json)),
        (path, writer) -> {},
        mentioned);
  }

  static HostileCase tensors(
      String name, LorikeetException.Code code, Change change, String... parts) {
    return new HostileCase(name, code, change, (path, writer) -> {}, List.of(parts));
  }

  static HostileCase files(
      String name, LorikeetException.Code code, Damage damage, String... parts) {
    return new HostileCase(name, code, writer -> {}, damage, List.of(parts));
  }

  static HostileCase header(String name, String from, String to, String... parts) {
    return files(
        name,
        ADAPTER_INVALID,
        (path, writer) -> {
          String header = writer.header();
          String changed = header.replace(from, to);
          if (changed.equals(header)) {
            throw new IllegalArgumentException("'" + from + "' is not in " + header);
          }
          Files.write(
              path.resolve(WEIGHTS), writer.weights(changed.getBytes(StandardCharsets.UTF_8)));
        },
        parts);
  }

  static HostileCase headerLength(String name, long length, String... parts) {
    return files(
        name,
        ADAPTER_INVALID,
        (path, writer) -> {
          byte[] bytes = writer.weights();
          ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
          Files.write(path.resolve(WEIGHTS), bytes);
        },
        parts);
  }

  static HostileCase rawHeader(String name, String header, String... parts) {
    return files(
        name,
        ADAPTER_INVALID,
        (path, writer) ->
            Files.write(
                path.resolve(WEIGHTS),
                writer.weights(header.getBytes(StandardCharsets.ISO_8859_1))),
        parts);
  }

  static HostileCase configText(String name, String text, String... parts) {
    return files(
        name,
        ADAPTER_INVALID,
        (path, writer) ->
            Files.write(path.resolve(CONFIG), text.getBytes(StandardCharsets.ISO_8859_1)),
        parts);
  }
}
