package dev.lorikeet.arrow;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.arrow.store.ArrowAdapterStore;
import dev.lorikeet.arrow.store.KeptType;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Opens stores that read adapters into pages of the pool: PEFT directories, and Arrow files that
 * {@link AdapterFiles#convert} has written, whose names end in {@code .arrow}.
 *
 * <p>Option {@code prefetch-threads} (1 to 64, default 2): how many adapters are read at a time
 * because of {@link AdapterStore#prefetch}. {@link AdapterStore#acquire} never waits for them.
 *
 * <p>Option {@code element-type} ({@code stored}, {@code bf16} or {@code f16}, default {@code
 * stored}): with the latter two, F32 weights are rounded to that type, to nearest and ties to even,
 * as they are brought into pages, and {@link AdapterStore#register} describes them in it; 16-bit
 * weights stay as they are. An adapter with a weight beyond the range of the type is refused with
 * {@code ADAPTER_INVALID}.
 *
 * <p>Option {@code strict} ({@code true} or {@code false}, default {@code false}): whether an
 * adapter is refused with {@code ADAPTER_INVALID} where a module that its configuration covers has
 * no weights. By default such modules stay as the base model has them, and a warning counts them.
 *
 * <p>Option {@code trusted-links} (folders, separated as in {@code PATH}; none by default): where
 * the files of an adapter's folder may be links to, beside the folder itself and Hugging Face's
 * cache. Other links are refused with {@code ADAPTER_INVALID}.
 */
public final class ArrowAdapterStoreProvider implements AdapterStoreProvider {
  private static final String PREFETCH_THREADS = "prefetch-threads";
  private static final String ELEMENT_TYPE = "element-type";
  private static final String STRICT = "strict";
  private static final String TRUSTED_LINKS = "trusted-links";
  private static final String DIRECTORIES = "directories separated by '" + File.pathSeparator + "'";

  /** Creates the provider; does no work. */
  public ArrowAdapterStoreProvider() {}

  @Override
  public String name() {
    return "arrow";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return Availability.available("PEFT directories and Arrow files in pages of any pool");
  }

  @Override
  public AdapterStore open(StoreConfig config) {
    Options options =
        Options.of(
            "adapter store plugin 'arrow'",
            config.options(),
            PREFETCH_THREADS,
            ELEMENT_TYPE,
            STRICT,
            TRUSTED_LINKS);
    var checks = new AdapterChecks(options.flag(STRICT, false), trustedLinks(options));
    return new ArrowAdapterStore(
        config,
        options.number(PREFETCH_THREADS, 2, 1, 64),
        options.choice(ELEMENT_TYPE, KeptType.STORED),
        checks.plans(Optional.of(config.shape())),
        checks.links());
  }

  private static List<Path> trustedLinks(Options options) {
    if (!options.has(TRUSTED_LINKS)) {
      return List.of();
    }
    try {
      List<Path> folders =
          Arrays.stream(options.required(TRUSTED_LINKS).split(File.pathSeparator, -1))
              .map(Path::of)
              .toList();
      if (folders.stream().allMatch(Files::isDirectory)) {
        return folders;
      }
      throw options.refusal(TRUSTED_LINKS, DIRECTORIES);
    } catch (InvalidPathException e) {
      throw options.refusal(TRUSTED_LINKS, DIRECTORIES);
    }
  }
}
