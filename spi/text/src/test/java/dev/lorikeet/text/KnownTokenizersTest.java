package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The components of models in use, around small vocabularies: all open, and texts are bounded. */
class KnownTokenizersTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  @TempDir Path directory;

  private TextLimits limits(ObjectNode tokenizer) throws IOException {
    Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(tokenizer));
    try (HfTokenizer opened = HfTokenizer.open(directory)) {
      assertTrue(opened.encode("The sea, and 123 ships.\n\n", true).length > 0);
    }
    return TokenizerFile.read(directory).check().limits();
  }

  private static ObjectNode byteLevel(String normalizer, String preTokenizer) {
    ObjectNode tokenizer = SmallTokenizers.of("bytelevel");
    tokenizer.set("normalizer", component(normalizer));
    tokenizer.set("pre_tokenizer", component(preTokenizer));
    return tokenizer;
  }

  private static JsonNode component(String text) {
    return SmallTokenizers.tree("{'c':" + text + "}").path("c");
  }

  private static String isolated(String regex) throws IOException {
    return "{'type':'Split','pattern':{'Regex':"
        + JSON.writeValueAsString(regex).replace("'", "\\u0027")
        + "},'behavior':'Isolated','invert':false}";
  }

  private static String sequence(String... parts) {
    return "{'type':'Sequence','pretokenizers':[" + String.join(",", parts) + "]}";
  }

  private static String bytes(boolean splits) {
    return "{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':"
        + splits
        + "}";
  }

  @Test
  void byteLevelTokenizersAreEncodedInPiecesWithAnExactBound() throws IOException {
    String[] preTokenizers = {
      bytes(true), // GPT-2, GPT-NeoX, OPT, Phi-2, StableLM
      sequence("{'type':'Digits','individual_digits':true}", bytes(true)), // SmolLM, StarCoder2
      sequence( // DeepSeek-V3
          isolated("\\p{N}{1,3}"),
          isolated("[一-龥぀-ゟ゠-ヿ]+"),
          isolated(
              "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                  + "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
                  + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
          bytes(false)),
      sequence( // Falcon
          "{'type':'Punctuation','behavior':'Contiguous'}",
          bytes(true),
          "{'type':'Digits','individual_digits':false}",
          isolated("[0-9][0-9][0-9]"))
    };
    for (String preTokenizer : preTokenizers) {
      for (String normalizer : new String[] {"null", "{'type':'NFC'}"}) {
        TextLimits limits = limits(byteLevel(normalizer, preTokenizer));
        boolean falcon = preTokenizer.contains("Contiguous");
        assertEquals(
            falcon ? TextLimits.Cuts.NONE : TextLimits.Cuts.WORD_ENDS, limits.cuts(), preTokenizer);
        assertTrue(Double.isFinite(limits.bytesPerToken()), preTokenizer);
      }
    }
  }

  @Test
  void thoseOfBloomAndClipOpen() throws IOException {
    String bloom = " ?[^(\\s|[.,!?…。，、।۔،])]+";
    assertTrue(
        Double.isFinite(
            limits(byteLevel("null", sequence(isolated(bloom), bytes(false)))).bytesPerToken()));
    String clip = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
    String removing =
        isolated(clip).replace("'invert':false", "'invert':true").replace("Isolated", "Removed");
    String normalizer =
        "{'type':'Sequence','normalizers':[{'type':'NFC'},{'type':'Replace',"
            + "'pattern':{'Regex':'\\\\s+'},'content':' '},{'type':'Lowercase'}]}";
    assertEquals(
        Double.POSITIVE_INFINITY,
        limits(byteLevel(normalizer, sequence(removing, bytes(false)))).bytesPerToken());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '`',
      nullValues = "-",
      value = {
        // Llama 2, Phi-3, Yi; Mistral; Gemma
        "{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'▁'},{'type':'Replace',"
            + "'pattern':{'String':' '},'content':'▁'}]};null",
        "null;{'type':'Metaspace','replacement':'▁','prepend_scheme':'first','split':false}",
        "{'type':'Replace','pattern':{'String':' '},'content':'▁'};{'type':'Split',"
            + "'pattern':{'String':' '},'behavior':'MergedWithPrevious','invert':false}"
      })
  void tokenizersWithBytesToFallBackToHaveAnExactBound(String normalizer, String preTokenizer)
      throws IOException {
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    tokenizer.set("normalizer", component(normalizer));
    tokenizer.set("pre_tokenizer", component(preTokenizer));
    TextLimits limits = limits(tokenizer);
    assertTrue(Double.isFinite(limits.bytesPerToken()));
    assertTrue(limits.bytesPerToken() <= 64, limits.toString());
    boolean gemma = preTokenizer.contains("Split");
    assertEquals(gemma ? TextLimits.Cuts.BLANKS : TextLimits.Cuts.WITHOUT_BLANKS, limits.cuts());
  }

  @Test
  void anOldFileNeedNotNameItsModel() throws IOException {
    for (String kind : SmallTokenizers.KINDS) {
      ObjectNode tokenizer = SmallTokenizers.of(kind);
      ((ObjectNode) tokenizer.path("model")).remove("type");
      limits(tokenizer);
    }
  }
}
