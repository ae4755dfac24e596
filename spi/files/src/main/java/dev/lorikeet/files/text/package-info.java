/** Files that say how texts become tokens, of a model or beside an adapter. */
@org.jspecify.annotations.NullMarked
package dev.lorikeet.files.text;
