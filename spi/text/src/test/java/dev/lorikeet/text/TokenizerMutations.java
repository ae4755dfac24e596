package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Changes tokenizer files at random: parts of the tree for hostile values, for parts of other
 * tokenizers or for components of any type; vocabulary, merges and added tokens; and bytes.
 */
final class TokenizerMutations {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String[] COMPONENTS = {
    "{'type':'NFC'}",
    "{'type':'NFD'}",
    "{'type':'NFKC'}",
    "{'type':'NFKD'}",
    "{'type':'Lowercase'}",
    "{'type':'Nmt'}",
    "{'type':'StripAccents'}",
    "{'type':'Strip','strip_left':true,'strip_right':false}",
    "{'type':'Prepend','prepend':'▁'}",
    "{'type':'Prepend','prepend':''}",
    "{'type':'Replace','pattern':{'String':' '},'content':'▁'}",
    "{'type':'Replace','pattern':{'String':'e'},'content':'ee'}",
    "{'type':'Replace','pattern':{'String':'e'},'content':''}",
    "{'type':'Replace','pattern':{'String':''},'content':'x'}",
    "{'type':'Replace','pattern':{'Regex':'a*'},'content':'b'}",
    "{'type':'Replace','pattern':{'Regex':'[ae]+'},'content':''}",
    "{'type':'ByteLevel'}",
    "{'type':'ByteLevel','add_prefix_space':false,'trim_offsets':true,'use_regex':true}",
    "{'type':'ByteLevel','add_prefix_space':true,'trim_offsets':true,'use_regex':false}",
    "{'type':'BertPreTokenizer'}",
    "{'type':'Whitespace'}",
    "{'type':'WhitespaceSplit'}",
    "{'type':'UnicodeScripts'}",
    "{'type':'CharDelimiterSplit','delimiter':'e'}",
    "{'type':'CharDelimiterSplit','delimiter':''}",
    "{'type':'Digits','individual_digits':false}",
    "{'type':'Punctuation','behavior':'MergedWithNext'}",
    "{'type':'Punctuation','behavior':'Contiguous'}",
    "{'type':'FixedLength','length':0}",
    "{'type':'FixedLength','length':1}",
    "{'type':'Metaspace','replacement':'▁','prepend_scheme':'first','split':false}",
    "{'type':'Metaspace','replacement':'','add_prefix_space':true}",
    "{'type':'Split','pattern':{'Regex':'\\\\s+$'},'behavior':'Removed','invert':false}",
    "{'type':'Split','pattern':{'Regex':'(a|aa)+$'},'behavior':'Isolated','invert':true}",
    "{'type':'Split','pattern':{'Regex':'\\\\p{L}+'},'behavior':'MergedWithNext','invert':true}",
    "{'type':'Split','pattern':{'Regex':'(?=e)'},'behavior':'Isolated','invert':false}",
    "{'type':'Split','pattern':{'String':''},'behavior':'Contiguous','invert':false}",
    "{'type':'Split','pattern':{'String':'e'},'behavior':'MergedWithPrevious','invert':true}",
    "{'type':'Fuse'}",
    "{'type':'ByteFallback'}",
    "{'type':'Strip','content':' ','start':1,'stop':1}",
    "{'type':'Strip','content':' ','start':5,'stop':0}",
    "{'type':'WordPiece','prefix':'##','cleanup':true}",
    "{'type':'BPEDecoder','suffix':'</w>'}",
    "{'type':'CTC','pad_token':'a','word_delimiter_token':'|','cleanup':true}",
    "{'type':'BertProcessing','sep':['</s>',2],'cls':['<s>',99999]}",
    "{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B','type_id':0}}],'pair':[],"
        + "'special_tokens':{}}",
    "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x','type_id':0}}],'pair':[],"
        + "'special_tokens':{'x':{'id':'x','ids':[1,2,3],'tokens':['x']}}}",
    "{'type':'Sequence'}",
    "{'type':'Nothing'}"
  };

  private static final String[] SEQUENCES = {
    "normalizers", "pretokenizers", "processors", "decoders"
  };

  private static final String[] PARTS = {
    "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "added_tokens"
  };

  private static final String[] TEXTS = {
    "",
    "a",
    " ",
    "▁",
    "##",
    "</w>",
    "\0",
    "\n",
    "\u0301",
    "é",
    "🙂",
    "\ud800",
    "<unk>",
    "<0xE2>",
    "e ",
    "(",
    "[",
    "(a*)*",
    "\\s+$",
    "\\p{L}+",
    "{1000}",
    "+",
    "*",
    "|",
    "$",
    "(?:a|a)+",
    "\\1",
    "AAAA",
  };

  private static final String[] NUMBERS = {
    "-1",
    "0",
    "1",
    "2",
    "255",
    "4194304",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "-9223372036854775809",
    "0.5",
    "-0.0",
    "1e308",
    "-1e308",
    "1e-320"
  };

  private final Random random;
  private ObjectNode tree;

  /** Mutates one tree, which is changed in place. */
  TokenizerMutations(ObjectNode tree, Random random) {
    this.tree = tree;
    this.random = random;
  }

  /** Returns the bytes of the file after some changes. */
  byte[] apply() throws IOException {
    for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
      change();
    }
    byte[] bytes = JSON.writeValueAsBytes(tree);
    if (random.nextInt(8) == 0) {
      for (int changes = 1 + random.nextInt(4); changes > 0; changes--) {
        bytes = changeBytes(bytes);
      }
    }
    return bytes;
  }

  private void change() {
    switch (random.nextInt(12)) {
      case 0, 1 -> set(random.nextBoolean() ? container(tree) : part(), hostile());
      case 2 -> remove(container(random.nextBoolean() ? tree : part()));
      case 3, 4 -> component();
      case 5 -> tree.set(pick(PARTS), transplant());
      case 6 -> wrap();
      case 7, 8 -> text();
      case 9 -> addedToken();
      case 10 -> vocabulary();
      default -> merges();
    }
  }

  /** Returns one of the parts that is an object or a list, or the whole. */
  private JsonNode part() {
    JsonNode part = tree.path(pick(PARTS));
    return part.isContainerNode() ? container(part) : tree;
  }

  private String pick(String[] values) {
    return values[random.nextInt(values.length)];
  }

  private JsonNode hostile() {
    JsonNodeFactory make = JsonNodeFactory.instance;
    return switch (random.nextInt(9)) {
      case 0 -> make.nullNode();
      case 1 -> make.booleanNode(random.nextBoolean());
      case 2, 3, 4 -> SmallTokenizers.tree("{'n':" + pick(NUMBERS) + "}").path("n");
      case 5, 6 -> make.textNode(hostileText());
      case 7 -> make.arrayNode().add(pick(TEXTS));
      default -> make.objectNode().put(pick(TEXTS), pick(TEXTS));
    };
  }

  private String hostileText() {
    return random.nextInt(6) == 0 ? pick(TEXTS).repeat(3000) : pick(TEXTS);
  }

  /** Returns a container some steps below a node, of which vocabularies are one step. */
  private JsonNode container(JsonNode from) {
    JsonNode node = from;
    for (int depth = random.nextInt(6); depth > 0; depth--) {
      List<JsonNode> below = new ArrayList<>();
      node.forEach(
          child -> {
            if (child.isContainerNode() && !child.isEmpty()) {
              below.add(child);
            }
          });
      if (below.isEmpty()) {
        return node;
      }
      node = below.get(random.nextInt(below.size()));
    }
    return node;
  }

  private void set(JsonNode container, JsonNode value) {
    if (container instanceof ObjectNode object && !object.isEmpty()) {
      object.set(key(object), value);
    } else if (container instanceof ArrayNode array && !array.isEmpty()) {
      array.set(random.nextInt(array.size()), value);
    }
  }

  private void remove(JsonNode container) {
    if (container instanceof ObjectNode object && !object.isEmpty()) {
      object.remove(key(object));
    } else if (container instanceof ArrayNode array && !array.isEmpty()) {
      array.remove(random.nextInt(array.size()));
    }
  }

  private String key(ObjectNode object) {
    List<String> keys = new ArrayList<>();
    object.fieldNames().forEachRemaining(keys::add);
    return keys.get(random.nextInt(keys.size()));
  }

  private JsonNode anyComponent() {
    return SmallTokenizers.tree(pick(COMPONENTS));
  }

  private void component() {
    String part = PARTS[random.nextInt(4)];
    JsonNode list = tree.path(part).path(SEQUENCES[Arrays.asList(PARTS).indexOf(part)]);
    if (list instanceof ArrayNode array && random.nextInt(3) > 0) {
      array.insert(random.nextInt(array.size() + 1), anyComponent());
    } else {
      tree.set(part, anyComponent());
    }
  }

  private JsonNode transplant() {
    ObjectNode other =
        SmallTokenizers.of(SmallTokenizers.KINDS.get(random.nextInt(SmallTokenizers.KINDS.size())));
    JsonNode part = other.path(pick(PARTS));
    return part.isMissingNode() ? JsonNodeFactory.instance.nullNode() : part;
  }

  private void wrap() {
    int part = random.nextInt(4);
    JsonNode inner = tree.path(PARTS[part]);
    if (inner.isMissingNode() || inner.isNull()) {
      inner = anyComponent();
    }
    for (int depth = 1 + random.nextInt(random.nextInt(8) == 0 ? 120 : 4); depth > 0; depth--) {
      ObjectNode outer = JsonNodeFactory.instance.objectNode().put("type", "Sequence");
      ArrayNode list = outer.putArray(SEQUENCES[part]);
      for (int copies = 1 + random.nextInt(2); copies > 0; copies--) {
        list.add(inner);
      }
      inner = outer;
      if (depth > 12) {
        list.removeAll().add(list.isEmpty() ? anyComponent() : list.path(0));
      }
    }
    tree.set(PARTS[part], inner);
  }

  private void text() {
    JsonNode container = random.nextBoolean() ? container(tree) : part();
    if (container instanceof ObjectNode object && !object.isEmpty()) {
      String key = key(object);
      if (object.path(key).isTextual()) {
        object.put(key, edited(object.path(key).textValue()));
      } else {
        JsonNode value = object.remove(key);
        object.set(edited(key), value);
      }
    }
  }

  private String edited(String text) {
    int at = random.nextInt(text.length() + 1);
    return switch (random.nextInt(4)) {
      case 0 -> text.substring(0, at);
      case 1 -> text.substring(0, at) + pick(TEXTS) + text.substring(at);
      case 2 -> text + text;
      default ->
          text.isEmpty()
              ? "x"
              : new StringBuilder(text)
                  .replace(
                      Math.min(at, text.length() - 1),
                      Math.min(at, text.length() - 1) + 1,
                      String.valueOf((char) (' ' + random.nextInt(100))))
                  .toString();
    };
  }

  private void addedToken() {
    JsonNode list = tree.path("added_tokens");
    if (list instanceof ArrayNode array) {
      array
          .addObject()
          .put("id", random.nextInt(3) == 0 ? random.nextInt() : random.nextInt(700))
          .put("content", random.nextBoolean() ? pick(TEXTS) : "th")
          .put("single_word", random.nextBoolean())
          .put("lstrip", random.nextBoolean())
          .put("rstrip", random.nextBoolean())
          .put("normalized", random.nextBoolean())
          .put("special", random.nextBoolean());
    }
  }

  private void vocabulary() {
    JsonNode vocabulary = tree.path("model").path("vocab");
    if (vocabulary instanceof ObjectNode object) {
      if (random.nextBoolean() && !object.isEmpty()) {
        set(object, hostile());
      } else {
        object.put(hostileText(), random.nextInt(5000));
      }
    } else if (vocabulary instanceof ArrayNode array) {
      array.insert(
          random.nextInt(array.size() + 1),
          JsonNodeFactory.instance
              .arrayNode()
              .add(random.nextInt(20) == 0 ? "a".repeat(1000) : hostileText())
              .add(SmallTokenizers.tree("{'n':" + pick(NUMBERS) + "}").path("n")));
    }
  }

  private void merges() {
    if (!(tree.path("model") instanceof ObjectNode model)) {
      return;
    }
    switch (random.nextInt(4)) {
      case 0 -> model.put("continuing_subword_prefix", hostileText());
      case 1 -> model.put("end_of_word_suffix", hostileText());
      case 2 -> model.put("byte_fallback", random.nextBoolean());
      default -> {
        if (model.path("merges") instanceof ArrayNode merges) {
          if (random.nextBoolean()) {
            merges.add(pick(TEXTS) + " " + pick(TEXTS));
          } else {
            merges.addArray().add(pick(TEXTS)).add(pick(TEXTS));
          }
        }
      }
    }
  }

  private byte[] changeBytes(byte[] bytes) {
    if (bytes.length < 2) {
      return bytes;
    }
    int at = random.nextInt(bytes.length - 1);
    switch (random.nextInt(4)) {
      case 0 -> bytes[at] = (byte) random.nextInt();
      case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 2 -> {
        return Arrays.copyOf(bytes, at);
      }
      default -> {
        byte[] shorter = Arrays.copyOf(bytes, bytes.length - 1);
        System.arraycopy(bytes, at + 1, shorter, at, bytes.length - at - 1);
        return shorter;
      }
    }
    return bytes;
  }
}
