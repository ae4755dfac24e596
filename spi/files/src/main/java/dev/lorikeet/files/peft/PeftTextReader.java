package dev.lorikeet.files.peft;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.text.AddedTokenIds;
import dev.lorikeet.files.text.SpecialTokens;
import dev.lorikeet.files.text.TemplateTexts;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Reads what the files beside an adapter's weights say of texts. What cannot be used among them
 * does not keep the adapter from texts that need no template: it is told to whoever asks for a
 * conversation.
 */
final class PeftTextReader {
  private static final System.Logger LOG = System.getLogger(PeftTextReader.class.getName());
  private static final String TOKENIZER = "tokenizer.json";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String SPECIAL = "special_tokens_map.json";
  private static final String ADDED = "added_tokens.json";
  private static final String PAD = "pad_token";
  private static final int MAX_JSON_BYTES = 32 << 20;
  private static final List<String> FILES =
      List.of(TOKENIZER, CONFIG, SPECIAL, ADDED, "chat_template.jinja", "chat_template.json");

  private final AdapterFolder folder;

  PeftTextReader(AdapterFolder folder) {
    this.folder = folder;
  }

  /**
   * Reads what there is, or returns empty where there is nothing.
   *
   * @param rows how many tokens the base model has rows for
   * @throws LorikeetException with code {@code ADAPTER_UNSUPPORTED} if the tokenizer has tokens
   *     beyond them
   */
  Optional<AdapterText> read(int rows) {
    if (FILES.stream().noneMatch(folder::has)) {
      return Optional.empty();
    }
    AdapterText text;
    try {
      text = readAll();
    } catch (LorikeetException e) {
      if (e.code() == Code.CANCELLED) {
        throw e;
      }
      String reason = String.valueOf(e.getMessage());
      LOG.log(Level.WARNING, "{0}; conversations with the adapter will be refused", reason);
      text =
          new AdapterText(
              folder.path("").toString(), Map.of(), Optional.of(reason), Map.of(), Map.of());
    }
    checkRows(text, rows);
    return Optional.of(text);
  }

  private AdapterText readAll() {
    Optional<JsonFile> config = json(CONFIG);
    var special = new SpecialTokens(config, json(SPECIAL));
    Map<String, String> names = new HashMap<>();
    for (String name : SpecialTokens.NAMES) {
      special.named(name).ifPresent(token -> names.put(name, token));
    }
    Map<String, Integer> added = addedTokens(config);
    Optional<TemplateTexts> found = TemplateTexts.read(folder, config);
    for (String template : found.map(t -> t.named().values()).orElse(List.of())) {
      if (template.length() > TemplateTexts.MAX_TEMPLATE_BYTES) {
        throw Faults.ADAPTER.invalid(
            found.get().source(),
            "at most " + TemplateTexts.MAX_TEMPLATE_BYTES + " bytes",
            template.length());
      }
    }
    return new AdapterText(
        found.map(TemplateTexts::source).orElse(folder.path("").toString()),
        found.map(TemplateTexts::named).orElse(Map.of()),
        found.flatMap(TemplateTexts::fault).map(e -> String.valueOf(e.getMessage())),
        names,
        withoutPadding(added, names));
  }

  private Optional<JsonFile> json(String name) {
    return folder.has(name)
        ? Optional.of(
            JsonFile.parse(
                Faults.ADAPTER, folder.path(name).toString(), folder.read(name, MAX_JSON_BYTES)))
        : Optional.empty();
  }

  private Map<String, Integer> addedTokens(Optional<JsonFile> config) {
    var tokens = new AddedTokenIds();
    Optional<JsonFile> decoder = config.flatMap(c -> c.object("added_tokens_decoder"));
    Optional<JsonFile> map = decoder.isPresent() ? Optional.empty() : json(ADDED);
    decoder.ifPresent(tokens::addDecoder);
    map.ifPresent(tokens::addMap);
    if (decoder.isEmpty() && map.isEmpty() && folder.has(TOKENIZER)) {
      try (FileChannel channel = folder.open(TOKENIZER)) {
        tokens.addTokenizer(
            Faults.ADAPTER, folder.path(TOKENIZER).toString(), Channels.newInputStream(channel));
      } catch (IOException e) {
        throw Faults.ADAPTER.invalid(folder.path(TOKENIZER), "a readable file", e, e);
      }
    }
    return tokens.ids();
  }

  /** No prompt holds a token that is there to pad alone, which many add whatever the rows are. */
  private static Map<String, Integer> withoutPadding(
      Map<String, Integer> added, Map<String, String> names) {
    Optional<String> pad = Optional.ofNullable(names.get(PAD));
    boolean alone =
        names.entrySet().stream()
            .noneMatch(
                name -> !name.getKey().equals(PAD) && Optional.of(name.getValue()).equals(pad));
    if (pad.isEmpty() || !alone) {
      return added;
    }
    Map<String, Integer> rest = new HashMap<>(added);
    rest.remove(pad.get());
    return rest;
  }

  private void checkRows(AdapterText text, int rows) {
    text.addedTokens().entrySet().stream()
        .filter(token -> token.getValue() >= rows)
        .max(Map.Entry.comparingByValue())
        .ifPresent(
            highest -> {
              throw Faults.ADAPTER.refuseUnsupported(
                  folder.path(""),
                  "expected a tokenizer whose tokens are among the "
                      + rows
                      + " that the base model has rows for, found '"
                      + Faults.show(highest.getKey())
                      + "' with id "
                      + highest.getValue()
                      + "; an extended vocabulary needs rows of its own");
            });
  }
}
