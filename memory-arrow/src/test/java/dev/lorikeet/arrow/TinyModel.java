package dev.lorikeet.arrow;

import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The adapters of the tiny model, which PEFT's format was written for by a trainer of its own. */
public final class TinyModel {
  public static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(6)
          .hidden(256)
          .intermediate(768)
          .heads(8)
          .kvHeads(4)
          .headDim(32)
          .vocabulary(2048)
          .build();
  public static final List<String> ADAPTERS = List.of("scripture", "voyage", "jargon", "glossary");

  private TinyModel() {}

  /** Copies an adapter out of its jar. */
  public static Path copy(String adapter, Path directory) throws IOException {
    Path target = Files.createDirectories(directory.resolve(adapter));
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      String resource = "META-INF/lorikeet/tiny-model/adapters/" + adapter + "/" + file;
      try (InputStream in = TinyModel.class.getClassLoader().getResourceAsStream(resource)) {
        if (in == null) {
          throw new IllegalStateException("no resource " + resource);
        }
        Files.copy(in, target.resolve(file));
      }
    }
    return target;
  }
}
