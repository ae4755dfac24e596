package dev.lorikeet.training;

import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.HfTokenizer;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.data.ExampleReader;
import dev.lorikeet.training.task.TaskFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Reads examples with a model's tokenizer and chat template.
 *
 * @param tokenizer closed with this
 * @param template of the model, if it has one
 * @param vocabulary how many ids there are
 * @param maxTokens the most tokens of a sequence
 */
record ExampleFiles(
    HfTokenizer tokenizer, Optional<ChatTemplate> template, int vocabulary, int maxTokens)
    implements AutoCloseable {
  ExampleReader reader(TaskFile.Entry entry) {
    ExampleReader.Builder reader =
        ExampleReader.builder(vocabulary)
            .tokenizer(tokenizer)
            .maxTokens(Math.min(maxTokens, entry.maxLength().orElse(maxTokens)), entry.overlong());
    template.ifPresent(reader::chatTemplate);
    tokenizer.eosTokenId().ifPresent(reader::eosToken);
    return reader.build();
  }

  List<Example> read(ExampleReader reader, Path file) {
    return reader.read(file).examples();
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
