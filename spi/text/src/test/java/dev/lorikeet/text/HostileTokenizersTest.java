package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Tokenizer files that would end the process, or keep it busy for ever, in the native library. A
 * failure here may show as a test process that ends.
 */
class HostileTokenizersTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path directory;

  private HfTokenizer open(ObjectNode tokenizer) {
    try {
      Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(tokenizer));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return HfTokenizer.open(directory);
  }

  private void assertRefused(Code code, String named, ObjectNode tokenizer) {
    var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
    assertEquals(code, error.code(), error.getMessage());
    for (String part : new String[] {"tokenizer.json", "expected", "found", named}) {
      assertTrue(error.getMessage().contains(part), part + " in: " + error.getMessage());
    }
  }

  private static ObjectNode with(String kind, String part, String component) {
    ObjectNode tokenizer = SmallTokenizers.of(kind);
    tokenizer.set(part, SmallTokenizers.tree(component));
    return tokenizer;
  }

  private static ObjectNode withModel(String kind, Consumer<ObjectNode> change) {
    ObjectNode tokenizer = SmallTokenizers.of(kind);
    change.accept((ObjectNode) tokenizer.path("model"));
    return tokenizer;
  }

  private static JsonNode nested(String list, String component, int depth) {
    JsonNode inner = SmallTokenizers.tree(component);
    for (int i = 0; i < depth; i++) {
      ObjectNode outer = JSON.createObjectNode().put("type", "Sequence");
      outer.putArray(list).add(inner);
      inner = outer;
    }
    return inner;
  }

  @Test
  void everyKindOpensUnchanged() {
    for (String kind : SmallTokenizers.KINDS) {
      try (HfTokenizer tokenizer = open(SmallTokenizers.of(kind))) {
        assertTrue(tokenizer.encode("the sea", false).length > 0, kind);
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "normalizer;normalizers;{'type':'NFC'}",
        "pre_tokenizer;pretokenizers;{'type':'Whitespace'}",
        "post_processor;processors;{'type':'ByteLevel'}",
        "decoder;decoders;{'type':'Fuse'}"
      },
      quoteCharacter = '`')
  void nestingIsBounded(String part, String list, String component) {
    for (int depth : new int[] {5, 6, 70, 200}) {
      ObjectNode tokenizer = SmallTokenizers.of("metaspace");
      tokenizer.set(part, nested(list, component, depth));
      var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
      assertTrue(error.code().name().startsWith("MODEL_"), error.getMessage());
    }
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    tokenizer.set(part, nested(list, component, 2));
    open(tokenizer).close();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "normalizer;normalizers;{'type':'NFC'}",
        "pre_tokenizer;pretokenizers;{'type':'Whitespace'}",
        "post_processor;processors;{'type':'ByteLevel'}",
        "decoder;decoders;{'type':'Fuse'}"
      },
      quoteCharacter = '`')
  void theNumberOfComponentsIsBounded(String part, String list, String component) {
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    ArrayNode components = tokenizer.putObject(part).put("type", "Sequence").putArray(list);
    for (int i = 0; i < 32; i++) {
      components.add(SmallTokenizers.tree(component));
    }
    var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
    assertEquals(Code.MODEL_UNSUPPORTED, error.code());
  }

  @ParameterizedTest
  @ValueSource(strings = {"####################", "####", "é", "a"})
  void aPrefixThatMergesDoNotHaveIsRefused(String prefix) {
    ObjectNode tokenizer =
        withModel(
            "metaspace",
            model -> model.put("continuing_subword_prefix", prefix).put("byte_fallback", false));
    var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
    assertTrue(error.code().name().startsWith("MODEL_"), error.getMessage());
  }

  private static String map(int units, int[] trie, byte... texts) {
    ByteBuffer blob = ByteBuffer.allocate(4 + 4 * trie.length + texts.length);
    blob.order(ByteOrder.LITTLE_ENDIAN).putInt(4 * units);
    for (int unit : trie) {
      blob.putInt(unit);
    }
    return Base64.getEncoder().encodeToString(blob.put(texts).array());
  }

  private void assertMapRefused(String map) {
    ObjectNode tokenizer = SmallTokenizers.of("unigram");
    ((ObjectNode) tokenizer.at("/normalizer/normalizers/0")).put("precompiled_charsmap", map);
    assertRefused(Code.MODEL_INVALID, "precompiled_charsmap", tokenizer);
  }

  @Test
  void aCharacterMapThatLeadsOutOfItselfIsRefused() {
    int leaf = 'a' | 1 << 8;
    assertMapRefused("AAAAgP////8AAAAA");
    assertMapRefused("AAA=");
    assertMapRefused("not base64");
    assertMapRefused(
        map(Integer.MAX_VALUE / 4, new int[256])); // the size of a trie that is not there
    assertMapRefused(map(3, new int[3])); // no room for every byte
    int[] out = new int[256];
    out[0] = 5000 << 10;
    assertMapRefused(map(256, out)); // the root leads out
    int[] away = new int[256];
    away['a'] = leaf | 1 << 20;
    assertMapRefused(map(256, away)); // a child leads out
    int[] value = new int[256];
    value['a'] = leaf | 1 << 10;
    value['a' ^ 1] = 100;
    assertMapRefused(map(256, value, (byte) 'x', (byte) 0)); // a text behind the texts
    value['a' ^ 1] = 1;
    assertMapRefused(map(256, value, (byte) 0xC3, (byte) 0xA9)); // half a character
    assertMapRefused(map(256, value, (byte) 0xC3)); // no UTF-8
  }

  @Test
  void aCharacterMapIsFollowedWhereItIsSound() {
    ObjectNode tokenizer = SmallTokenizers.of("unigram");
    ((ObjectNode) tokenizer.at("/normalizer/normalizers/0"))
        .put("precompiled_charsmap", CharacterMaps.encode(Map.of("ß", "sea", "é", "e")));
    try (HfTokenizer mapped = open(tokenizer)) {
      assertEquals("the sea e", mapped.decode(mapped.encode("the ß é", false), false));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B','type_id':0}}],"
            + "'pair':[],'special_tokens':{}}",
        "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'A','type_id':0}},"
            + "{'Sequence':{'id':'A','type_id':0}}],'pair':[],'special_tokens':{}}",
        "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x','type_id':0}},"
            + "{'Sequence':{'id':'A','type_id':0}}],'pair':[],'special_tokens':{}}",
        "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x','type_id':0}},"
            + "{'Sequence':{'id':'A','type_id':0}}],'pair':[],"
            + "'special_tokens':{'x':{'id':'x','ids':[5000000],'tokens':['x']}}}",
        "{'type':'TemplateProcessing','single':[],'pair':[],'special_tokens':{}}",
        "{'type':'BertProcessing','sep':['</s>',2],'cls':['<s>',99999]}",
        "{'type':'RobertaProcessing','sep':['</s>'],'cls':['<s>',1]}",
        "{'type':'RobertaProcessing'}",
        "{'type':'None'}",
        "{}"
      })
  void aPostProcessorThatNamesWhatIsNotThereIsRefused(String processor) {
    expectRefused("post_processor", processor);
  }

  private void expectRefused(String key, String component) {
    ObjectNode tokenizer = with("metaspace", key, component);
    var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
    assertTrue(error.code().name().startsWith("MODEL_"), error.getMessage());
    assertTrue(error.getMessage().contains(key), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type':'FixedLength','length':0}",
        "{'type':'FixedLength','length':1e18}",
        "{'type':'Metaspace','replacement':'ab'}",
        "{'type':'Metaspace','replacement':''}",
        "{'type':'Metaspace','replacement':'▁','prepend_scheme':'last'}",
        "{'type':'CharDelimiterSplit','delimiter':'ab'}",
        "{'type':'Split','pattern':{'String':''},'behavior':'Isolated','invert':false}",
        "{'type':'Split','pattern':{'Regex':''},'behavior':'Isolated','invert':false}",
        "{'type':'Split','pattern':{'String':'a'},'behavior':'Gone','invert':false}",
        "{'type':'Split','pattern':'a','behavior':'Isolated','invert':false}",
        "{'type':'Split','behavior':'Isolated','invert':false}",
        "{'type':'Digits','individual_digits':'yes'}",
        "{'type':'Unheard'}",
        "{'type':3}",
        "{'pattern':'a'}"
      })
  void aPreTokenizerOfOddFieldsIsRefused(String component) {
    expectRefused("pre_tokenizer", component);
  }

  @ParameterizedTest
  @ValueSource(strings = {"(a|a|aa)+c", "(a*)*(a*)*(a*)*b", "(?=a)|\\b", "(a)\\1", "a*", "a*b"})
  void anExpressionThatMayNotEndIsRefused(String regex) {
    ObjectNode normalizing = SmallTokenizers.of("metaspace");
    normalizing
        .putObject("normalizer")
        .put("type", "Replace")
        .put("content", "b")
        .putObject("pattern")
        .put("Regex", regex);
    assertRefused(Code.MODEL_UNSUPPORTED, "normalizer: pattern: Regex", normalizing);
    ObjectNode splitting = SmallTokenizers.of("metaspace");
    splitting
        .putObject("pre_tokenizer")
        .put("type", "Split")
        .put("behavior", "Isolated")
        .put("invert", false)
        .putObject("pattern")
        .put("Regex", regex);
    assertRefused(Code.MODEL_UNSUPPORTED, "pre_tokenizer: pattern: Regex", splitting);
  }

  @Test
  void textThatDoublesAgainAndAgainIsRefused() {
    for (String part : new String[] {"normalizer", "decoder"}) {
      ObjectNode tokenizer = SmallTokenizers.of("metaspace");
      ArrayNode list = tokenizer.putObject(part).put("type", "Sequence").putArray(part + "s");
      for (int i = 0; i < 24; i++) {
        list.add(
            SmallTokenizers.tree("{'type':'Replace','pattern':{'String':'T'},'content':'TT'}"));
      }
      assertRefused(Code.MODEL_UNSUPPORTED, part, tokenizer);
    }
  }

  @Test
  void tooManyAddedTokensAreRefused() {
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    ArrayNode added = (ArrayNode) tokenizer.path("added_tokens");
    for (int i = 0; i < 200_000; i++) {
      added.addObject().put("id", 1000 + i).put("content", "zz" + i).put("lstrip", true);
    }
    var error = assertThrows(LorikeetException.class, () -> open(tokenizer).close());
    assertTrue(error.getMessage().contains("added_tokens"), error.getMessage());
    for (int i = added.size(); i > 7000; i--) {
      added.remove(i - 1);
    }
    open(tokenizer).close();
  }

  @Test
  void anAddedTokenOfUnboundedLengthIsRefused() {
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    ((ArrayNode) tokenizer.path("added_tokens"))
        .addObject()
        .put("id", 1000)
        .put("content", "a".repeat(100_000));
    assertRefused(Code.MODEL_UNSUPPORTED, "content", tokenizer);
  }

  private static ObjectNode withAddedToken(String content, String flag, boolean normalized) {
    ObjectNode tokenizer = SmallTokenizers.of("wordlevel");
    ((ArrayNode) tokenizer.path("added_tokens"))
        .addObject()
        .put("id", 1000)
        .put("content", content)
        .put(flag, true)
        .put("normalized", normalized);
    return tokenizer;
  }

  /** In a run of such tokens the library gives each of them all that follows. */
  @ParameterizedTest
  @ValueSource(strings = {"\n", " ", "\t \r\n", "\u00a0", "\u0085", "\u2028\u3000"})
  void anAddedTokenOfWhiteSpaceThatTakesWhiteSpaceAroundItIsRefused(String content) {
    for (String flag : new String[] {"lstrip", "rstrip"}) {
      for (boolean normalized : new boolean[] {false, true}) {
        assertRefused(Code.MODEL_UNSUPPORTED, "content", withAddedToken(content, flag, normalized));
      }
    }
    open(withAddedToken(content, "special", false)).close();
  }

  @Test
  void anAddedTokenThatIsNormalizedToWhiteSpaceAndTakesMoreIsRefused() {
    String toSpace = "{'type':'Replace','pattern':{'String':'ё'},'content':' '}";
    for (String content : new String[] {"ё", "<m>"}) {
      ObjectNode tokenizer = withAddedToken(content, "rstrip", true);
      tokenizer.set("normalizer", SmallTokenizers.tree(toSpace));
      assertRefused(Code.MODEL_UNSUPPORTED, "content", tokenizer);
    }
    ObjectNode asItIs = withAddedToken("ё", "rstrip", false);
    asItIs.set("normalizer", SmallTokenizers.tree(toSpace));
    open(asItIs).close();
    for (String content : new String[] {"ё", "<m>", "\n<m>"}) {
      open(withAddedToken(content, "rstrip", true)).close();
    }
  }

  @Test
  void aModelThatRefersToNothingIsRefused() {
    for (String kind : new String[] {"wordpiece", "wordlevel"}) {
      assertRefused(
          Code.MODEL_INVALID, "unk_token", withModel(kind, model -> model.put("unk_token", "no")));
    }
    assertRefused(
        Code.MODEL_INVALID,
        "unk_token",
        withModel("metaspace", m -> m.put("unk_token", "no").put("byte_fallback", false)));
    assertRefused(
        Code.MODEL_INVALID, "unk_id", withModel("unigram", model -> model.putNull("unk_id")));
    assertRefused(
        Code.MODEL_INVALID, "unk_id", withModel("unigram", model -> model.put("unk_id", 4096)));
  }

  @Test
  void aModelOfOddFieldsIsRefused() {
    assertRefused(
        Code.MODEL_UNSUPPORTED, "dropout", withModel("metaspace", m -> m.put("dropout", 0.5)));
    assertRefused(
        Code.MODEL_INVALID,
        "max_input_chars_per_word",
        withModel("wordpiece", m -> m.put("max_input_chars_per_word", 1L << 60)));
    assertRefused(
        Code.MODEL_UNSUPPORTED, "type", withModel("metaspace", m -> m.put("type", "Other")));
    assertRefused(
        Code.MODEL_UNSUPPORTED, "version", SmallTokenizers.of("metaspace").put("version", "2.0"));
  }

  @Test
  void truncationAndPaddingAreNeverLookedAt() {
    ObjectNode tokenizer = SmallTokenizers.of("metaspace");
    tokenizer.put("truncation", "nonsense");
    tokenizer.set(
        "padding",
        SmallTokenizers.tree("{'strategy':{'Fixed':100},'pad_to_multiple_of':0,'pad_id':-1}"));
    open(tokenizer).close();
  }
}
