package dev.lorikeet.arrow;

import static dev.lorikeet.arrow.HostileCase.WEIGHTS;
import static dev.lorikeet.arrow.HostileCase.header;
import static dev.lorikeet.arrow.HostileCase.headerLength;
import static dev.lorikeet.arrow.HostileCase.rawHeader;

import java.util.List;

/** Headers of safetensors files that lie. */
final class HostileHeaders {
  private HostileHeaders() {}

  static List<HostileCase> cases() {
    return List.of(
        headerLength("header length 0", 0, WEIGHTS, "header length", "found 0"),
        headerLength("header length 1", 1, WEIGHTS, "header length"),
        headerLength("header length beyond the file", 1 << 20, WEIGHTS, "header length"),
        headerLength("header length beyond any file", Long.MAX_VALUE, WEIGHTS, "header length"),
        headerLength("header length -1", -1, WEIGHTS, "18446744073709551615"),
        rawHeader("header that is no JSON", "{tensors}", WEIGHTS, "JSON"),
        rawHeader("header that is a list", "[1,2,3]", WEIGHTS, "'{'"),
        rawHeader("header cut short", "{\"a\": {\"dtype\"", WEIGHTS, "JSON"),
        rawHeader("header nested deep", "{\"a\":" + "[".repeat(50_000), WEIGHTS),
        rawHeader("header not UTF-8", "{\"\u00e4\u00f6\": 1}", WEIGHTS, "UTF-8"),
        rawHeader("header without tensors", "{}", WEIGHTS),
        rawHeader("header with a rest", "{} {}", WEIGHTS, "closing brace"),
        rawHeader("header with a long name", "{\"" + "x".repeat(5000) + "\":1}", WEIGHTS),
        rawHeader("tensor that is a number", "{\"a\":1}", WEIGHTS, "tensor 'a'", "an object"),
        rawHeader(
            "tensor twice", "{\"a\":{\"dtype\":\"F32\"},\"a\":{\"dtype\":\"F32\"}}", WEIGHTS, "a"),
        header("dtype unknown", "\"F32\"", "\"F33\"", WEIGHTS, "dtype", "F33"),
        header("dtype integer", "\"F32\"", "\"I32\"", WEIGHTS, "dtype", "I32"),
        header("dtype missing", "\"dtype\":\"F32\",", "", WEIGHTS, "dtype"),
        header("dtype of another width", "\"F32\"", "\"F16\"", WEIGHTS, "bytes", "data_offsets"),
        header("key unknown", "\"dtype\":\"F32\"", "\"dtype\":\"F32\",\"x\":1", WEIGHTS, "'x'"),
        header("shape negative", "[4,24]", "[-4,24]", WEIGHTS, "shape", "-4"),
        header("shape fraction", "[4,24]", "[4.5,24]", WEIGHTS, "shape"),
        header("shape huge", "[4,24]", "[4294967296,4294967296]", WEIGHTS, "shape", "64 bits"),
        header("shape beyond 64 bits", "[4,24]", "[99999999999999999999,1]", WEIGHTS, "shape"),
        header("shape of many dimensions", "[4,24]", "[1,1,1,1,1,1,1,1,1,96]", WEIGHTS, "shape"),
        header("shape transposed", "[4,24]", "[24,4]", WEIGHTS, "lora_A", "[4, 24]", "[24, 4]"),
        header("shape flat", "[4,24]", "[96]", WEIGHTS, "lora_A", "[4, 24]", "[96]"),
        header("shape empty", "[4,24]", "[4,0]", WEIGHTS, "bytes"),
        header("offsets reversed", "[0,384]", "[384,0]", WEIGHTS, "data_offsets"),
        header("offsets negative", "[0,384]", "[-1,384]", WEIGHTS, "data_offsets"),
        header("offsets beyond the file", "[0,384]", "[0,384000]", WEIGHTS, "data_offsets"),
        header("offsets beyond 64 bits", "[0,384]", "[0,18446744073709551999]", WEIGHTS, "offsets"),
        header("offsets alone", "[0,384]", "[0]", WEIGHTS, "data_offsets"),
        header("offsets that overlap", "[384,768]", "[0,384]", WEIGHTS, "overlap"),
        header("offsets shifted", "[0,384]", "[8,392]", WEIGHTS, "gap"));
  }
}
